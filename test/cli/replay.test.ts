// `crank replay` as a process: what it lists, in which order and form, and how it ends.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordSample } from '../../scripts/record-audit-sample.ts'
import type { Report } from '../../src/cli/replay/report.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../fixtures/policy-dir.ts'
import { recordOf, RECORDED_NS, writeLog } from '../fixtures/replay.ts'
import type { Finished } from './crank.ts'
import { crank } from './in-process.ts'

const DAY_NS = 86_400_000_000_000n
const STREAMING = 'spiffe://crank.local/worker/streaming'
// What the test's policy says of the streaming worker: text_events only, and document_to_pdf by nobody.
const MANIFESTS = JSON.stringify({
  workers: { [STREAMING]: { worker_id: 'worker-streaming', required_capabilities: ['stream:text_events', 'a:new'] } },
})

let dir = ''
let log = ''
let policy: PolicyDir
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-replay-'))
  policy = await copyPolicies({ 'data/worker_manifests.json': MANIFESTS })
  log = await writeLog(join(dir, 'audit.jsonl'), [
    recordOf({ capability: 'stream:text_events', decision: 'allow' }),
    recordOf({ capability: 'a:gone', decision: 'allow', decisionId: 'd-gone' }),
    recordOf({ capability: 'a:new', decision: 'deny', decisionId: 'd-new-2', atNs: RECORDED_NS + DAY_NS }),
    recordOf({ capability: 'a:new', decision: 'deny', decisionId: 'd-new-1' }),
    recordOf({ capability: 'a:shadowed', decision: 'would_deny' }),
    recordOf({ who: 'lost', capability: 'a:x', decision: 'deny' }),
    recordOf({ capability: 'a:x', decision: 'error' }),
    recordOf({ capability: 'a:x', decision: 'unevaluated' }),
  ])
})
afterAll(async () => {
  await policy[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

const replay = (...args: string[]): Promise<Finished> =>
  crank(['replay', '--audit', log, '--policy', policy.dir, ...args])
const asJson = async (...args: string[]): Promise<Report> =>
  JSON.parse((await replay('-o', 'json', ...args)).stdout) as Report

test('lists what changes, what is let in first, and exits with 1', async () => {
  const { code, stdout } = await replay('-o', 'json')
  expect(code).toBe(1)
  const report = JSON.parse(stdout) as Report
  expect(report).toMatchObject({ decisions: 6, changed: 4, otherReasons: 1, failed: true })
  expect(report.changes.map(({ from, to, effect, decisions }) => [from, to, effect, decisions])).toEqual([
    ['deny', 'allow', 'wider', 2],
    ['allow', 'deny', 'narrower', 1],
    ['would_deny', 'deny', 'narrower', 1],
    ['deny', 'deny', 'other_reasons', 1],
  ])
})

test('groups by who, what and why, with first and last time and an example', async () => {
  const { changes } = await asJson()
  expect(changes[0]?.groups).toEqual([
    {
      requester: STREAMING,
      subject: 'a:new',
      from: 'deny',
      to: 'allow',
      before: 'capability_not_declared',
      after: 'declared',
      count: 2,
      first: '2026-11-23T10:00:00.000Z',
      last: '2026-11-24T10:00:00.000Z',
      example: 'd-new-1',
    },
  ])
})

test('does not compare trouble, and says how much of it there is', async () => {
  expect((await asJson()).notCompared).toEqual({ trouble: 2, incomplete: 0, unreadable: 0 })
  expect((await replay()).stderr).toContain('2 records without a decision (fault of the policy engine) not compared')
})

test.each([
  { args: ['--fail-on', 'allow'], code: 1 },
  { args: ['--fail-on', 'none'], code: 0 },
  { args: ['--fail-on', 'allow', '--since', '2026-11-24'], code: 1 },
  { args: ['--fail-on', 'allow', '--since', '2026-11-25'], code: 0 },
  { args: ['--until', '2026-11-23T10:00:00Z'], code: 0 },
])('$args exits with $code', async ({ args, code }) => {
  expect((await replay(...args)).code).toBe(code)
})

test('takes only decisions from --since on and before --until', async () => {
  const window = ['--since', '2026-11-23T10:00:00Z', '--until', '2026-11-24T10:00:00.000Z']
  expect((await asJson(...window)).decisions).toBe(5)
})

test('evaluates everything when asked to, with the same result', async () => {
  const [plain, memoised] = [await asJson('--no-memo'), await asJson()]
  expect(plain).toMatchObject({ evaluated: 6, memoised: 0, memoOff: '--no-memo' })
  expect(memoised).toMatchObject({ evaluated: 5, memoised: 1, memoOff: null })
  expect(memoised.changes).toEqual(plain.changes)
})

test('prints a table for people', async () => {
  const { stdout } = await replay()
  expect(stdout).toContain(`4 of 6 recorded decisions change, 1 decision for other reasons: policy ${policy.dir}`)
  expect(stdout).toMatch(/^DENY -> ALLOW: 2 decisions\nREQUESTER +CAPABILITY/m)
  expect(stdout).toMatch(/a:new +capability_not_declared +declared +2 +2026-11-23T10:00:00.000Z .*d-new-1$/m)
})

test('prints Markdown for a pull request, details folded away', async () => {
  const { stdout } = await replay('-o', 'markdown')
  expect(stdout).toMatch(/^### Policy replay: 4 of 6 recorded decisions change/)
  expect(stdout).toContain('| **DENY → ALLOW** | 2 |\n| ALLOW → DENY | 1 |')
  expect(stdout).toContain('<details><summary>DENY → ALLOW: 2 decisions</summary>')
  expect(stdout).toContain(`| \`${STREAMING}\` | \`a:new\` | \`capability_not_declared\` | \`declared\` | \`2\` |`)
  expect(stdout).not.toContain('\u001b')
})

test('counts lines that are no records, and those whose input cannot be rebuilt', async () => {
  const whole = await readFile(log, 'utf8')
  const [first = ''] = whole.split('\n')
  const odd = join(dir, 'odd.jsonl')
  const lines = [first, 'x', '{"event":7}', first.replace('"now_ns"', '"then_ns"'), first.slice(0, 400)]
  await writeFile(odd, lines.join('\n'))
  const { stdout } = await crank(['replay', '--audit', odd, '--policy', policy.dir, '-o', 'json'])
  expect(JSON.parse(stdout)).toMatchObject({
    decisions: 1,
    notCompared: { trouble: 0, incomplete: 1, unreadable: 3 },
  })
})

test('nothing in a log can drive the terminal', async () => {
  const [first = ''] = (await readFile(log, 'utf8')).split('\n')
  const evil = join(dir, 'evil.jsonl')
  await writeFile(evil, `${first.replace('["declared"]', String.raw`["\u001b[2J|${'`'}<b>"]`)}\n`)
  const args = ['replay', '--audit', evil, '--policy', policy.dir]
  expect((await crank(args)).stdout).toContain(String.raw`\u001b[2J|`)
  expect((await crank([...args, '-o', 'markdown'])).stdout).toContain(String.raw`| ${'`'}\u001b[2J\|'<b>${'`'} |`)
})

test('--verify refuses a log whose chain is broken', async () => {
  const broken = join(dir, 'broken.jsonl')
  await writeFile(broken, (await readFile(log, 'utf8')).replace('"deny"', '"allow"'))
  const { code, stderr } = await crank(['replay', '--verify', '--audit', broken, '--policy', policy.dir])
  expect(code).toBe(1)
  expect(stderr).toContain(`${broken} was not replayed: record 3 (line 3) is invalid`)
  expect(await asJson('--verify')).toMatchObject({ audit: { verified: true } })
})

test.each([
  { args: [], said: "required option '--policy <dir>' not specified" },
  { args: ['--policy', '/nowhere'], said: '--policy cannot be used: /nowhere: no such folder' },
  { args: ['--policy', POLICY_DIR, '--audit', '/nowhere/audit.jsonl'], said: 'there is no audit log at' },
  { args: ['--policy', POLICY_DIR, '--since', '7'], said: '--since "7": must be like 90s, 10m, 2h or 7d' },
  { args: ['--policy', POLICY_DIR, '--until', 'soon'], said: '--until "soon": must be like' },
  { args: ['--policy', POLICY_DIR, '--fail-on', 'deny'], said: 'Allowed choices are any, allow, none' },
])('$args is wrong usage', async ({ args, said }) => {
  const { code, stdout, stderr } = await crank(['replay', '--audit', log, ...args])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(said)
})

test('an empty window is not a change, and is said', async () => {
  const { code, stderr } = await replay('--since', '2027-01-01')
  expect(code).toBe(0)
  expect(stderr).toContain('nothing to compare')
})

test('the recorded sample is what the policies in force decide: else run scripts/record-audit-sample.ts', async () => {
  const sample = join(POLICY_DIR, 'samples/audit-sample.jsonl')
  const args = ['replay', '--verify', '--audit', sample, '--policy', POLICY_DIR, '-o', 'json']
  const { code, stdout } = await crank(args)
  expect(JSON.parse(stdout)).toMatchObject({ changed: 0, otherReasons: 0 })
  expect(code).toBe(0)
})

test('the sample is made from the manifests alone: the same each time', async () => {
  const [one, other] = [await recordSample(policy.dir), await recordSample(policy.dir)]
  expect(one).toBe(other)
  expect(one).toContain('"decision":"deny"')
})
