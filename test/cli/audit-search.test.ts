// `crank audit search` and `get`, and what else finds a call by its id: two slots, several segments, plain and compressed.
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { DEFAULT_STATE_DIR } from '../../src/platform/default-places.ts'
import { callOf, idAt, temporaryDir, traceOf, writeChain, type AnyEvent } from '../audit/index/logs.ts'
import { crank } from './in-process.ts'

const START = Date.UTC(2026, 10, 1)
const MINUTE = 60_000
const at = (n: number): number => START + n * MINUTE
const id = (n: number): string => idAt(at(n), n)
const B = 'spiffe://crank.local/worker/b'
const DENIED = { decision: 'deny', reasons: [{ code: 'capability_not_declared', message: 'Worker b not authorized' }] }

const registered = (n: number, url: string): AnyEvent => ({
  event: 'worker_registration',
  timestamp: new Date(at(n)).toISOString(),
  decision_id: id(n),
  trace_id: traceOf(n),
  requester_spiffe_id: 'spiffe://crank.local/worker/provider',
  worker_id: 'worker-a',
  worker_url: url,
  capabilities: ['use:one'],
  decision: 'allow',
})

const RETRIED = {
  outcome: 'worker_failed',
  status: 503,
  error: 'worker_busy',
  worker_id: 'worker-b',
}
const attempts = [
  {
    worker_id: 'worker-a',
    decision_id: id(4),
    reason: null,
    outcome: 'worker_failed',
    error: 'worker_busy',
    sent: true,
    duration_ms: 1,
  },
  {
    worker_id: 'worker-b',
    decision_id: id(94),
    reason: 'busy',
    outcome: 'worker_failed',
    error: 'worker_busy',
    sent: false,
    duration_ms: 2,
  },
]
const [retriedDecision, retriedOutcome] = callOf(4, at(4), { ...RETRIED, trace_id: traceOf(4) })
const [again] = callOf(94, at(94), { trace_id: traceOf(4), retry_of: id(4) })
const [crossing, crossingEnd] = callOf(5, at(5), { outcome: 'timeout', status: 504, error: 'worker_timeout' })
const [denied] = callOf(3, at(3), { ...DENIED, requester_spiffe_id: B })
const [lost] = callOf(6, at(6))

let auditDir = ''
let files: string[][] = []
beforeEach(() => {
  auditDir = join(temporaryDir(), 'audit')
  files = [
    writeChain(
      auditDir,
      0,
      [[registered(0, 'https://old:1'), ...callOf(1, at(1)), crossing], [denied, crossingEnd], [lost]],
      (segment) => segment === 0,
    ),
    writeChain(auditDir, 1, [
      [registered(2, 'https://new:1')],
      [
        retriedDecision,
        { ...again },
        { ...retriedOutcome, attempts: 2, attempts_made: attempts },
        ...callOf(7, at(7), { trace_id: traceOf(4) }),
      ],
    ]),
  ]
})

const decisionIdsIn = (stdout: string): string[] =>
  [...stdout.matchAll(/^ {2}decision id (\S+)/gm)].map(([, one]) => one!)
const search = (...args: string[]) => crank(['audit', 'search', '--audit-dir', auditDir, ...args])

async function found(...args: string[]): Promise<string[]> {
  const { stdout } = await search('-o', 'json', ...args)
  const records = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  return records.map(({ event, decision_id: of }) => `${event === 'route_outcome' ? 'end' : 'begin'} ${String(of)}`)
}

const whole = (n: number): string[] => [`begin ${id(n)}`, `end ${id(n)}`]

test.each([
  { args: ['--decision', 'deny'], calls: [`begin ${id(3)}`] },
  { args: ['--decision', 'allow', '--outcome', 'timeout'], calls: whole(5) },
  { args: ['--outcome', 'timeout'], calls: whole(5) },
  { args: ['--who', 'worker/b'], calls: [`begin ${id(3)}`] },
  { args: ['--status', '5xx', '--order', 'oldest'], calls: [...whole(4), ...whole(5)] },
  { args: ['--status', '503'], calls: whole(4) },
  { args: ['--text', 'NOT authorized'], calls: [`begin ${id(3)}`] },
  { args: ['--text', 'worker_busy'], calls: whole(4) },
  { args: ['--worker', 'worker-b'], calls: whole(4) },
  { args: ['--worker', 'worker-a', '--status', '503'], calls: whole(4) },
  { args: ['--cap', 'use:one', '--until', '2026-11-01T00:01:00Z'], calls: [`begin ${id(0)}`] },
  {
    args: ['--decision', 'allow', '--since', '2026-11-01T00:06:00Z', '--until', '2026-11-01T00:08:00Z'],
    calls: [...whole(7), `begin ${id(6)}`],
  },
  { args: ['--decision', id(5)], calls: whole(5) },
  { args: ['--decision', id(5).toUpperCase(), '--no-index'], calls: whole(5) },
  { args: ['--decision', 'would_deny', '--outcome', 'timeout'], calls: [] },
  { args: ['--decision', 'deny', '--no-index'], calls: [`begin ${id(3)}`] },
])('search $args', async ({ args, calls }) => {
  expect(await found(...args)).toEqual(calls)
  const { code } = await search(...args)
  expect(code).toBe(calls.length === 0 ? 1 : 0)
})

test('gives unchanged lines for programs, and a line with the ids for people', async () => {
  const { stdout } = await search('--decision', id(3), '-o', 'json')
  expect(readFileSync(files[0]![1]!, 'latin1')).toContain(stdout)
  const forPeople = await search('--decision', 'deny')
  expect(forPeople.stdout).toContain(`deny              ${B}  use:one  Worker b not authorized  decision=${id(3)}`)
})

test('a page names the next one, and all pages have everything once, by time', async () => {
  const pages: string[] = []
  let after: string[] = []
  for (let more = true; more;) {
    const { stdout, stderr } = await search('--limit', '2', '-o', 'json', ...after)
    pages.push(stdout)
    const [, cursor] = /--after (\S+)/.exec(stderr) ?? []
    more = cursor !== undefined
    after = ['--after', cursor ?? '']
  }
  expect(pages.length).toBeGreaterThan(4)
  const { stdout } = await search('--limit', '1000', '-o', 'json')
  expect(pages.join('')).toBe(stdout)
})

test.each([
  [
    ['--decision', 'frog'],
    '--decision "frog": must be one of allow, deny, would_deny, error, unevaluated, a decision id',
  ],
  [['--outcome', 'good'], '--outcome "good": must be one of completed, caller_left'],
  [['--status', '42'], '--status "42": must be an HTTP status such as 503, or 5xx'],
  [['--cap', 'x'], '--cap "x": must be verb:name'],
  [['--who', ''], '--who "": must not be empty'],
  [['--limit', '0'], '--limit "0": must be at least 1'],
  [['--after', 'x'], '--after "x": must be the cursor that the page before printed'],
  [['--since', 'x'], '--since "x": must be like'],
  [['--trace', 'x'], '--trace "x": must be the 32 hex digits'],
  [['--trace', traceOf(4), '--who', 'a'], '--trace names the records; it cannot be combined with --who'],
  [['--decision', id(1), '--since', '1h'], '--decision <id> names the records; it cannot be combined with --since'],
])('refuses %j', async (args, message) => {
  const { code, stderr, stdout } = await search(...args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(message)
})

test('says where it looked when nothing matches, and where there is no log', async () => {
  const nothing = await search('--who', 'nobody')
  expect(nothing).toMatchObject({ code: 1, stdout: '' })
  expect(nothing.stderr).toContain(`no record matches in ${join(auditDir, '0')}, ${join(auditDir, '1')}`)
  const nowhere = await crank(['audit', 'search', '--state-dir', '/nowhere'])
  expect(nowhere).toMatchObject({ code: 2 })
  expect(nowhere.stderr).toContain('there is no audit log at /nowhere/audit/0')
  const file = await crank(['audit', 'search', '--audit-file', '/nowhere/1.jsonl'])
  expect(file).toMatchObject({ code: 2 })
  expect(file.stderr).toContain('there is no audit log at /nowhere/1.jsonl')
})

test('reads the folder of its settings: flags before the environment, an empty value counts as unset', async () => {
  const env = { CRANK_AUDIT_DIR: auditDir, CRANK_STATE_DIR: '/nowhere' }
  expect((await crank(['audit', 'search', '--decision', id(3)], { env })).code).toBe(0)
  expect((await crank(['audit', 'search', '--audit-dir', '/other'], { env })).stderr).toContain('/other/0')
  const unset = { CRANK_AUDIT_DIR: '', CRANK_STATE_DIR: '' }
  const cwd = process.cwd()
  process.chdir(temporaryDir())
  const { stderr } = await crank(['audit', 'search'], { env: unset }).finally(() => process.chdir(cwd))
  expect(stderr).toContain(`there is no audit log at ${DEFAULT_STATE_DIR}/audit/0`)
})

test('where the index cannot be made beside its segment, it is made elsewhere', async () => {
  mkdirSync(join(auditDir, '0', files[0]![2]!.split('/').at(-1)!.replace('.jsonl', '.index')))
  const { code, stdout } = await search('--decision', id(6))
  expect({ code, lines: stdout.split('\n').length }).toEqual({ code: 0, lines: 2 })
})

test('reports on an index that takes longer than a second, and only then', async () => {
  expect((await search('--decision', 'deny')).stderr).toBe('')
  let nowMs = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1500))
  onTestFinished(() => clock.mockRestore())
  const { stdout, stderr } = await search('--decision', 'deny', '--no-index')
  expect(stdout).toContain('deny')
  expect(stderr).toMatch(/^making the index of \S+\.jsonl: \d+ records, 100 %$/m)
})

test('get prints the attempts, the outcome, and the registration before the call in any slot', async () => {
  const { code, stdout } = await crank(['audit', 'get', id(5), '--audit-dir', auditDir])
  expect(code).toBe(0)
  expect(stdout).toContain('outcome     timeout: status 504, worker-a')
  expect(stdout).toContain(
    'registered  2026-11-01T00:02:00.000Z, https://new:1, spiffe://crank.local/worker/provider, allow',
  )
  const early = await crank(['audit', 'get', id(1), '--audit-dir', auditDir])
  expect(early.stdout).toContain('registered  2026-11-01T00:00:00.000Z, https://old:1')
  const retried = await crank(['audit', 'get', id(4), '--audit-dir', auditDir])
  expect(retried.stdout).toContain('attempt 1   worker_failed: worker-a, 1 ms, worker_busy')
  expect(retried.stdout).toContain(
    'attempt 2   worker_failed: worker-b, 2 ms, after busy, worker_busy, nothing was sent',
  )
  expect(retried.stdout).toContain(`asked again 2026-11-01T01:34:00.000Z, decision id ${id(94)}`)
  expect(retried.stdout).toContain('the log has no registration of worker-b before this call')
  const unknown = await crank(['audit', 'get', id(6), '--audit-dir', auditDir])
  expect(unknown.stdout).toContain('outcome     unknown')
})

test('get of a trace prints its calls, each with a link', async () => {
  const url = 'http://jaeger/trace/{trace_id}'
  const args = ['audit', 'get', traceOf(4), '--audit-dir', auditDir, '--trace-url', url]
  const { stdout } = await crank(args)
  expect(decisionIdsIn(stdout)).toEqual([id(4), id(7)])
  expect(stdout).toContain(`trace link  http://jaeger/trace/${traceOf(4)}`)
  const { calls } = JSON.parse((await crank([...args, '-o', 'json'])).stdout) as { calls: Record<string, unknown>[] }
  expect(calls).toMatchObject([
    { record: { decision_id: id(4) }, outcome: { status: 503 }, retries: [{ retry_of: id(4) }], registration: null },
    {
      record: { decision_id: id(7) },
      registration: { worker_url: 'https://new:1' },
      trace_url: `http://jaeger/trace/${traceOf(4)}`,
    },
  ])
})

test('get refuses what is no id, and a link without a place for it', async () => {
  const noId = await crank(['audit', 'get', 'x', '--audit-dir', auditDir])
  expect(noId).toMatchObject({ code: 2 })
  expect(noId.stderr).toContain('"x" is neither a decision id nor a trace id')
  const link = await crank(['audit', 'get', id(1), '--audit-dir', auditDir, '--trace-url', 'http://jaeger/'])
  expect(link).toMatchObject({ code: 2 })
  const absent = await crank(['audit', 'get', id(50), '--audit-dir', auditDir])
  expect(absent).toMatchObject({ code: 1, stdout: '' })
  expect(absent.stderr).toContain(`no record of decision ${id(50)}`)
})

test('explain and tail find a trace and a decision in all slots and forms', async () => {
  const place = ['--audit-dir', auditDir]
  const env = { CRANK_ADMIN_URL: 'http://127.0.0.1:1' }
  const explained = await crank(['explain', id(5), ...place], { env })
  expect(explained.stdout).toContain('outcome     timeout: status 504')
  const trace = await crank(['explain', traceOf(4), ...place], { env })
  expect(decisionIdsIn(trace.stdout)).toEqual([id(4), id(94), id(7)])
  const tail = await crank(['audit', 'tail', '--trace', traceOf(4), '-n', '2', '-o', 'json', ...place])
  expect(
    tail.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { decision_id: string }).decision_id),
  ).toEqual([id(7), id(7)])
})
