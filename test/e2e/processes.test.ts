// A controller of two processes is one controller: whatever process a request meets, it has the same workers, policy and keys.
// Real processes, started as a user starts them.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { exportedFamilies } from '../fixtures/exported-metrics.ts'
import { isAlive } from '../fixtures/is-alive.ts'
import { parseOpenMetrics } from '../fixtures/open-metrics.ts'
import { runController, startControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, HELLO, postJson, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { startProcessPair, type Line, type ProcessPair } from '../fixtures/process-pair.ts'
import { until } from '../fixtures/until.ts'
import { slotOf, verifyLog } from '../fixtures/audit-log.ts'

const SLOTS = [0, 1]

let parties: Parties
let policies: PolicyDir
let pair: ProcessPair
let lines: readonly Line[]
beforeAll(async () => {
  parties = await createParties()
  policies = await copyPolicies()
  pair = await startProcessPair(parties, { CRANK_POLICY_DIR: policies.dir, CRANK_HEARTBEAT_INTERVAL_MS: '300' })
  lines = [await pair.lineTo(0), await pair.lineTo(1)]
})
afterAll(async () => {
  await Promise.all(lines.map((line) => line.close()))
  await pair.stop('SIGTERM')
  await policies[Symbol.asyncDispose]()
  await parties.close()
})

type Registered = { readonly worker_id: string; readonly lease: string }

/** A worker that registered at one process. */
async function workerAt(line: Line, worker: FakeWorker, extra: object = {}): Promise<Registered> {
  const body = { worker_id: 'worker-hello-world', worker_url: worker.url, capabilities: [HELLO_SCHEMA], ...extra }
  const answer = await line.request(postJson('/register', body))
  expect(answer).toMatchObject({ status: 200 })
  const { worker_id, lease } = answer.body as Registered
  return { worker_id, lease }
}

const statuses = async (): Promise<number[]> =>
  (await Promise.all(lines.map((line) => line.greet()))).map(({ status }) => status)
const startWorker = (execute = greets): Promise<FakeWorker> =>
  startFakeWorker({ ...parties, request: () => Promise.reject(new Error('registers over a line')) }, execute)

describe('a worker', () => {
  test('that registers at one process is called by both at once, stays by heartbeats at either, and leaves both', async () => {
    await using worker = disposable(await startWorker())
    const hello = [await pair.lineTo(0, HELLO), await pair.lineTo(1, HELLO)] as const
    const { worker_id, lease } = await workerAt(hello[1], worker.it)
    expect(await statuses()).toEqual([200, 200])
    // Four times the time after which it would be stale, and more than that after which it would be removed.
    const until = performance.now() + 4000
    for (let turn = 0; performance.now() < until; turn++) {
      const beat = await hello[turn % 2]!.request(postJson('/heartbeat', { worker_id, lease }))
      expect(beat.status).toBe(200)
      await delay(200)
    }
    expect(await statuses()).toEqual([200, 200])
    const wrong = postJson('/deregister', { worker_id, lease: 'another' })
    expect((await hello[0].request(wrong)).status).toBe(404)
    expect((await hello[0].request(postJson('/deregister', { worker_id, lease }))).status).toBe(200)
    expect(await statuses()).toEqual([503, 503])
    expect((await hello[1].request(postJson('/heartbeat', { worker_id, lease }))).status).toBe(404)
    await Promise.all(hello.map((line) => line.close()))
  })

  test('whose id is taken at the other process loses it at both', async () => {
    await using old = disposable(await startWorker())
    await using successor = disposable(await startWorker())
    const hello = [await pair.lineTo(0, HELLO), await pair.lineTo(1, HELLO)] as const
    const first = await workerAt(hello[0], old.it)
    const second = await workerAt(hello[1], successor.it)
    expect(await statuses()).toEqual([200, 200])
    expect([old.it.seen.length, successor.it.seen.length]).toEqual([0, 2])
    expect((await hello[0].request(postJson('/heartbeat', first))).status).toBe(404)
    expect((await hello[0].request(postJson('/deregister', second))).status).toBe(200)
    await Promise.all(hello.map((line) => line.close()))
  })

  test('is drained and let back at both, over the one admin listener', async () => {
    await using worker = disposable(await startWorker())
    const hello = await pair.lineTo(0, HELLO)
    const registered = await workerAt(hello, worker.it)
    const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    const admin = (what: string): Promise<Response> =>
      fetch(`${pair.adminOrigin}/workers/worker-hello-world/${what}`, json)
    expect((await admin('drain')).status).toBe(200)
    expect(await statuses()).toEqual([503, 503])
    expect((await admin('undrain')).status).toBe(200)
    expect(await statuses()).toEqual([200, 200])
    await hello.request(postJson('/deregister', registered))
    await hello.close()
  })

  test('never gets more calls at a time than it declared, from both together', async () => {
    let running = 0
    let most = 0
    const worker = await startWorker((_request, response) => {
      most = Math.max(most, ++running)
      setTimeout(() => {
        running--
        response.setHeader('content-type', 'application/json').end('{}')
      }, 30)
    })
    await using held = disposable(worker)
    const hello = await pair.lineTo(0, HELLO)
    const registered = await workerAt(hello, held.it, { capabilities: [{ ...HELLO_SCHEMA, max_concurrency: 3 }] })
    const callers = await Promise.all(SLOTS.flatMap((slot) => Array.from({ length: 4 }, () => pair.lineTo(slot))))
    const answers = await Promise.all(callers.flatMap((line) => [line.greet(), line.greet()]))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(most).toBe(3)
    await hello.request(postJson('/deregister', registered))
    await Promise.all([hello, ...callers].map((line) => line.close()))
  })
})

describe('a key', () => {
  test('is executed once, whichever process gets the repetition', async () => {
    await using worker = disposable(await startWorker())
    const hello = await pair.lineTo(0, HELLO)
    const registered = await workerAt(hello, worker.it)
    const headers = { 'idempotency-key': 'once' }
    const [first, again] = [await lines[0]!.greet(headers), await lines[1]!.greet(headers)]
    expect([first.status, again.status, again.headers['idempotent-replayed']]).toEqual([200, 200, 'true'])
    expect(worker.it.seen).toHaveLength(1)
    await hello.request(postJson('/deregister', registered))
    await hello.close()
  })
})

test('a changed policy comes into force in both at once, and each records it', async () => {
  const enforcement = { enforcement: { default: 'shadow', callers: {}, capabilities: {} } }
  const before = await Promise.all(SLOTS.map((slot) => pair.auditOf(slot)))
  await writeFile(join(policies.dir, 'data/enforcement.json'), JSON.stringify(enforcement))
  const changes = async (slot: number) => (await pair.auditOf(slot)).filter(({ event }) => event === 'policy_changed')
  await until('both have the change', async () =>
    (await Promise.all(SLOTS.map(changes))).every((all) => all.length > 0),
  )
  const [a, b] = await Promise.all(SLOTS.map(changes))
  expect(before.flat().some(({ event }) => event === 'policy_changed')).toBe(false)
  expect(a!.at(-1)!['new_revision']).toBe(b!.at(-1)!['new_revision'])
  // One waits for the other: only the messages between them lie between.
  expect(pair.logOf('policy_turn_missed')).toEqual([])
})

describe('the one admin listener', () => {
  test('says whether all are ready, and adds up what they have counted', async () => {
    const ready = (await (await fetch(`${pair.adminOrigin}/readyz`)).json()) as { status: string; checks: object[] }
    expect(ready.status).toBe('ready')
    expect(ready.checks).toContainEqual({ name: 'processes', ok: true })
    const before = await counted('controller_policy_decisions_total')
    await Promise.all(lines.flatMap((line) => [line.greet(), line.greet(), line.greet()]))
    expect((await counted('controller_policy_decisions_total')) - before).toBe(6)
    expect(await counted('controller_processes', 'state="serving"')).toBe(2)
  })

  test('exports what one process does, and what is about several', async () => {
    const text = await (await fetch(`${pair.adminOrigin}/metrics`)).text()
    const names = parseOpenMetrics(text).map(({ name }) => name)
    const optional = /^controller_(candidate|decision_cache|audit_ship(ped|_lag)|policy_(questions|batches)|mesh)(_|$)/
    const own = (await exportedFamilies()).map(({ name }) => name).filter((name) => name.startsWith('controller_'))
    expect(names.filter((name) => name.startsWith('controller_')).sort()).toEqual(
      own.filter((name) => !optional.test(name)).sort(),
    )
    expect(names).toEqual(expect.arrayContaining(['process_cpu_seconds', 'nodejs_eventloop_lag_p99_seconds']))
  })
})

/** The sum of the series of a metric, as a scraper reads it. */
async function counted(name: string, having = ''): Promise<number> {
  const text = await (await fetch(`${pair.adminOrigin}/metrics`)).text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(name) && line.includes(having))
    .reduce((sum, line) => sum + Number(/ (\S+)(?: #.*)?$/.exec(line)?.[1]), 0)
}

describe('a process that is killed', () => {
  test('is replaced by one that knows the workers; callers of the other notice nothing, and no counter falls', async () => {
    await using worker = disposable(await startWorker())
    const hello = await pair.lineTo(0, HELLO)
    const registered = await workerAt(hello, worker.it)
    const beat = setInterval(() => void hello.request(postJson('/heartbeat', registered)).catch(() => undefined), 100)
    const before = await counted('controller_requests_total')
    const results: number[] = []
    let isOver = false
    const loads = Array.from({ length: 4 }, async () => {
      while (!isOver) results.push((await lines[0]!.greet()).status)
    })
    const old = pair.pidOf(1)
    process.kill(old, 'SIGKILL')
    await until('there is another one', () => pair.pidOf(1) !== old)
    expect(await counted('controller_requests_total')).toBeGreaterThanOrEqual(before)
    expect(await counted('controller_process_ends_total')).toBe(1)
    const fresh = await pair.lineTo(1)
    expect((await fresh.greet()).status).toBe(200)
    isOver = true
    await Promise.all(loads)
    expect([new Set(results), results.length > 0]).toEqual([new Set([200]), true])
    clearInterval(beat)
    await hello.request(postJson('/deregister', registered))
    await Promise.all([hello.close(), lines[1]!.close()])
    lines = [lines[0]!, fresh]
    expect(pair.logOf('process_ended')).toMatchObject([{ process: 1, ended_pid: old, signal: 'SIGKILL' }])
  })

  test('leaves its keys unknown: nobody executes their requests again', async () => {
    const held: (() => void)[] = []
    await using worker = disposable(await startWorker((_request, response) => void held.push(() => response.end('{}'))))
    const hello = await pair.lineTo(0, HELLO)
    const registered = await workerAt(hello, worker.it)
    const headers = { 'idempotency-key': 'held' }
    const cut = lines[1]!.greet(headers).catch((cause: unknown) => cause)
    await until('the worker has it', () => worker.it.seen.length === 1)
    const old = pair.pidOf(1)
    process.kill(old, 'SIGKILL')
    expect(await cut).toBeInstanceOf(Error)
    await until(
      'the key is given up',
      async () => (await lines[0]!.greet(headers)).body.error !== 'idempotency_in_progress',
    )
    expect(await lines[0]!.greet(headers)).toMatchObject({
      status: 409,
      body: { error: 'idempotency_outcome_unknown' },
    })
    expect(worker.it.seen).toHaveLength(1)
    for (const end of held) end()
    await until('there is another one', () => pair.pidOf(1) !== old)
    await lines[1]!.close()
    lines = [lines[0]!, await pair.lineTo(1)]
    await hello.request(postJson('/deregister', registered))
    await hello.close()
  })
})

describe('the end', () => {
  test('lets a call in flight end in every process, records it in both chains, and exits with 0', async () => {
    const state = join(parties.dir, 'ending')
    const own = await startProcessPair(parties, { CRANK_STATE_DIR: state })
    let answer: (() => void) | undefined
    await using worker = disposable(
      await startWorker((_request, response) => {
        answer = () => response.setHeader('content-type', 'application/json').end('{}')
      }),
    )
    const hello = await own.lineTo(0, HELLO)
    await workerAt(hello, worker.it)
    const line = await own.lineTo(1)
    const call = line.greet()
    await until('the worker has it', () => answer !== undefined)
    const stopped = own.stop('SIGTERM')
    await until('both drain', () => own.logOf('controller_draining').length === 2)
    answer!()
    expect((await call).status).toBe(200)
    expect(await stopped).toEqual({ code: 0, signal: null })
    await Promise.all([hello.close(), line.close()])
    for (const slot of SLOTS) {
      expect(await verifyLog(slotOf(state, slot))).toMatchObject({ ok: true, tornTailBytes: 0 })
      expect((await own.auditOf(slot)).at(-1)).toMatchObject({ event: 'controller_stopped', reason: 'stopped' })
    }
  })

  test('of the parent ends all; the next start has the workers back, and takes over both chains', async () => {
    const state = join(parties.dir, 'orphans')
    const own = await startProcessPair(parties, { CRANK_STATE_DIR: state })
    await using worker = disposable(await startWorker())
    const hello = await own.lineTo(1, HELLO)
    await workerAt(hello, worker.it)
    const ids = SLOTS.map((slot) => own.pidOf(slot))
    await until('the registry is on the disk', () => existsSync(join(state, 'registry.json')))
    await own.stop('SIGKILL')
    await until('the others have ended', () => ids.every((id) => !isAlive(id)))
    await hello.close()
    const next = await startProcessPair(parties, { CRANK_STATE_DIR: state })
    const both = [await next.lineTo(0), await next.lineTo(1)]
    await until('both call it', async () =>
      (await Promise.all(both.map((line) => line.greet()))).every(({ status }) => status === 200),
    )
    await Promise.all(both.map((line) => line.close()))
    await next.stop('SIGINT')
    for (const slot of SLOTS) expect(await verifyLog(slotOf(state, slot))).toMatchObject({ ok: true })
  })
})

describe('a start', () => {
  const env = async (): Promise<NodeJS.ProcessEnv> => ({
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: join(parties.dir, 'refused'),
    CRANK_PROCESSES: '2',
  })

  test.each(['0', '65', 'two', '1.5', '-1'])('with CRANK_PROCESSES=%s is refused', async (CRANK_PROCESSES) => {
    const { code, stderr } = await runController({ ...(await env()), CRANK_PROCESSES })
    expect([code, stderr]).toEqual([2, expect.stringContaining('CRANK_PROCESSES')])
    expect(stderr).toContain('a number from 1 to 64, or auto')
  })

  test('on a port that another process shares is refused, though the kernel would allow it', async () => {
    const other = createServer().listen({ port: 0, host: '127.0.0.1', reusePort: true })
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const { code, stderr } = await runController({ ...(await env()), CRANK_PORT: String(port) })
    other.close()
    expect([code, stderr]).toEqual([2, expect.stringContaining(`port ${port} on 127.0.0.1 is in use`)])
  })

  test('that fails in a process says why once, with its exit code', async () => {
    const { code, stderr } = await runController({ ...(await env()), CRANK_POLICY_DIR: '/nowhere' })
    expect(code).toBe(2)
    expect(stderr.match(/no such folder/g)).toHaveLength(1)
  })

  test('beside a controller that uses the same state is refused', async () => {
    const state = join(parties.dir, 'twice')
    const first = await startControllerProcess({ ...(await env()), CRANK_STATE_DIR: state })
    const { code, stderr } = await runController({ ...(await env()), CRANK_STATE_DIR: state })
    await first.stop('SIGTERM')
    expect([code, stderr]).toEqual([2, expect.stringContaining('another controller writes to it')])
  })
})

function disposable(it: FakeWorker) {
  return { it, [Symbol.asyncDispose]: () => it.close() }
}
