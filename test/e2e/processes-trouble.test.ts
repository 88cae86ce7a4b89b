// What a process that hangs or dies at a bad moment does to the others. Real processes, stopped and killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { CRANK } from '../fixtures/controller-process.ts'
import { isAlive } from '../fixtures/is-alive.ts'
import { createParties, HELLO, postJson, type Parties } from '../fixtures/parties.ts'
import { copyPolicies, takeCapabilities } from '../fixtures/policy-dir.ts'
import { startProcessPair, type Line, type ProcessPair } from '../fixtures/process-pair.ts'
import { until } from '../fixtures/until.ts'

let parties: Parties
beforeAll(async () => {
  parties = await createParties()
})
afterAll(() => parties.close())

const startWorker = (): Promise<FakeWorker> =>
  startFakeWorker({ ...parties, request: () => Promise.reject(new Error('registers over a line')) }, greets)

async function register(line: Line, { url }: FakeWorker): Promise<{ worker_id: string; lease: string }> {
  const body = { worker_id: 'worker-hello-world', worker_url: url, capabilities: [HELLO_SCHEMA] }
  const answer = await line.request(postJson('/register', body))
  expect(answer.status).toBe(200)
  const { worker_id, lease } = answer.body as { worker_id: string; lease: string }
  return { worker_id, lease }
}

const statusAt = async (pair: ProcessPair, slot: number): Promise<number> => {
  const line = await pair.lineTo(slot)
  const { status } = await line.greet()
  await line.close()
  return status
}

/** A controller of its own, with a worker that is registered at process 1 and sends its heartbeats there. */
async function startTroubled(name: string, env: NodeJS.ProcessEnv = {}) {
  const pair = await startProcessPair(parties, { CRANK_STATE_DIR: join(parties.dir, name), ...env })
  const worker = await startWorker()
  const hello = await pair.lineTo(1, HELLO)
  const lease = await register(hello, worker)
  const refused: number[] = []
  let answered = 0
  const over = new AbortController()
  const beating = (async () => {
    while (!over.signal.aborted) {
      const { status } = await hello.request(postJson('/heartbeat', lease))
      answered++
      if (status !== 200) refused.push(status)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  return {
    pair,
    lease,
    refused,
    beats: () => answered,
    stopBeating: async (): Promise<void> => {
      over.abort()
      await beating
    },
    async [Symbol.asyncDispose]() {
      over.abort()
      await beating.catch(() => undefined)
      await hello.close()
      await pair.stop('SIGKILL')
      // A stopped one would stay: it ends as soon as it goes on.
      for (const slot of [0, 1]) if (isAlive(pair.pidOf(slot))) process.kill(pair.pidOf(slot), 'SIGCONT')
      await worker.close()
    },
  }
}

describe('a hang that is longer than a worker may be silent', () => {
  test.each([
    ['of a process', (pair: ProcessPair) => pair.pidOf(0)],
    ['of the parent', (pair: ProcessPair) => pair.pid],
  ])('%s leaves every process with the workers that sent heartbeats', async (_of, idOf) => {
    await using it = await startTroubled('hang', { CRANK_HEARTBEAT_INTERVAL_MS: '100' })
    const { pair } = it
    const id = idOf(pair)
    process.kill(id, 'SIGSTOP')
    const start = performance.now()
    const before = it.beats()
    // 12 missed heartbeats remove a worker.
    await until('it would be removed', () => performance.now() - start > 1800 && it.beats() > before + 10)
    process.kill(id, 'SIGCONT')
    for (const slot of [0, 1]) {
      await until(`process ${slot} calls it`, async () => (await statusAt(pair, slot)) === 200)
    }
    expect(it.refused).toEqual([])
  })

  test('of a worker removes it from every process', async () => {
    await using it = await startTroubled('silent', { CRANK_HEARTBEAT_INTERVAL_MS: '100' })
    await it.stopBeating()
    const known = async (): Promise<number> => {
      const answer = await fetch(`${it.pair.adminOrigin}/workers`, { headers: { connection: 'close' } })
      return ((await answer.json()) as { workers: unknown[] }).workers.length
    }
    // Each question opens a connection, which reaches any of the two.
    await until(
      'nobody knows it',
      async () => Math.max(...(await Promise.all(Array.from({ length: 12 }, known)))) === 0,
    )
    for (const slot of [0, 1]) expect(await statusAt(it.pair, slot)).toBe(503)
  })
})

test.each([
  ['process 0', 'SIGSTOP'],
  ['process 0', 'SIGKILL'],
  ['the parent', 'SIGSTOP'],
] as const)(
  'a policy that takes a capability from a worker evicts it while %s has a %s',
  async (whose, signal) => {
    await using policies = await copyPolicies()
    await using it = await startTroubled(`evicted-${whose}-${signal}`, { CRANK_POLICY_DIR: policies.dir })
    const line = await it.pair.lineTo(1)
    expect((await line.greet()).status).toBe(200)
    process.kill(whose === 'process 0' ? it.pair.pidOf(0) : it.pair.pid, signal)
    await takeCapabilities(policies.dir)
    // A parent that hangs is waited for twice, for the turn of the policy and for the eviction.
    await until('it gets no calls', async () => (await line.greet()).status === 503, 40_000)
    const evictions = async (): Promise<number> =>
      (await it.pair.auditOf(1)).filter(({ event }) => event === 'worker_evicted').length
    await until('that is recorded', async () => (await evictions()) > 0)
    expect(await evictions()).toBe(1)
    await line.close()
  },
  60_000,
)

test('while the parent hangs, changes of the registry are refused after a limit; a late one is taken back', async () => {
  await using it = await startTroubled('parent-hangs')
  const other = await startWorker()
  const { pair } = it
  const hello = await pair.lineTo(0, HELLO)
  const body = { worker_id: 'worker-hello-world.second', worker_url: other.url, capabilities: [HELLO_SCHEMA] }
  const known = async (): Promise<string[]> => {
    const answer = await fetch(`${pair.adminOrigin}/workers`, { headers: { connection: 'close' } })
    return ((await answer.json()) as { workers: { worker_id: string }[] }).workers.map(({ worker_id }) => worker_id)
  }
  process.kill(pair.pid, 'SIGSTOP')
  const post = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
  const [answer, drain, ready, metrics, rotation, health] = await Promise.all([
    hello.request(postJson('/register', body)),
    fetch(`${pair.adminOrigin}/workers/worker-hello-world/drain`, post),
    fetch(`${pair.adminOrigin}/readyz`),
    fetch(`${pair.adminOrigin}/metrics`),
    fetch(`${pair.adminOrigin}/audit/rotate`, post),
    fetch(`${pair.adminOrigin}/health`),
  ])
  expect([answer.status, answer.body]).toMatchObject([503, { error: 'registry_unavailable' }])
  expect(answer.headers['retry-after']).toBe('1')
  expect([drain.status, await drain.json()]).toMatchObject([503, { error: 'registry_unavailable' }])
  expect([ready.status, await ready.json()]).toMatchObject([503, { status: 'not_ready' }])
  for (const one of [metrics, rotation])
    expect([one.status, await one.json()]).toMatchObject([503, { error: 'parent_unavailable' }])
  expect([health.status, await health.json()]).toMatchObject([200, { status: 'not_ready', audit: [] }])
  expect(await statusAt(pair, 0)).toBe(200)
  process.kill(pair.pid, 'SIGCONT')
  await until('it answers', async () => (await fetch(`${pair.adminOrigin}/readyz`)).status === 200)
  // Each question opens a connection, which reaches any of the two.
  const inAll = async (): Promise<string[]> => (await Promise.all(Array.from({ length: 8 }, known))).flat()
  // By now all processes have made the change: the parent handles messages in order.
  await until('it is taken back', async () => !(await inAll()).includes(body.worker_id))
  expect((await hello.request(postJson('/register', body))).status).toBe(200)
  expect((await inAll()).filter((id) => id === body.worker_id)).toHaveLength(8)
  await hello.close()
  await other.close()
}, 60_000)

test('the end of a parent that hangs ends what waits for it, and no process crashes', async () => {
  await using policies = await copyPolicies()
  await using it = await startTroubled('parent-ends', { CRANK_POLICY_DIR: policies.dir })
  const { pair } = it
  const hello = await pair.lineTo(0, HELLO)
  const processes = [pair.pidOf(0), pair.pidOf(1)]
  await it.stopBeating()
  process.kill(pair.pid, 'SIGSTOP')
  // Each process prepares this policy, waits for its turn, and evicts the worker then.
  await takeCapabilities(policies.dir)
  const leaving = hello.request(postJson('/deregister', it.lease))
  await until('the policy is in force', () => pair.logOf('policy_changed').length > 0)
  process.kill(pair.pid, 'SIGKILL')
  const { status, body } = await leaving
  expect([status, body]).toMatchObject([
    503,
    { error: expect.stringMatching(/^(registry_unavailable|shutting_down)$/) },
  ])
  await until('all have ended', () => processes.every((id) => !isAlive(id)), 30_000)
  expect(pair.logOf('controller_crashed')).toEqual([])
  await hello.close()
}, 60_000)

describe('during the start', () => {
  /** A controller whose process 0 does not listen yet, and whose process 1 has not been started. */
  async function starting(name: string) {
    const env = {
      PATH: process.env['PATH'],
      ...(await parties.tlsEnv('controller')),
      ...{ CRANK_PORT: '0', CRANK_ADMIN_PORT: '0', CRANK_PROCESSES: '2', CRANK_LAME_DUCK_MS: '0' },
      CRANK_STATE_DIR: join(parties.dir, name),
    }
    const child = spawn(process.execPath, [CRANK, 'controller'], {
      ...{ env, detached: true },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const texts = { log: '', errors: '' }
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.log += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.errors += chunk))
    const ended = once(child, 'close')
    await until('process 0 starts', () => texts.log.includes('"event":"policy_engine"'))
    return { pid: child.pid!, ended, texts }
  }

  test.each(['SIGTERM', 'SIGINT'] as const)('a %s to the whole group ends all, with 0', async (signal) => {
    const { pid, ended } = await starting(`group-${signal}`)
    process.kill(-pid, signal)
    expect(await ended).toEqual([0, null])
  })

  test('the kill of a process fails the start, which says so', async () => {
    const { pid, ended, texts } = await starting('killed')
    const [first] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
    process.kill(Number(first), 'SIGKILL')
    expect(await ended).toEqual([2, null])
    expect(texts.errors).toContain('a process was ended by SIGKILL while it started')
    const told = texts.log.split('\n').filter((line) => line.includes('"event":"process_ended"'))
    expect(told).toEqual([expect.stringContaining('has ended before it served, and is not replaced')])
  })
})

test('a process that hangs for good is killed and replaced, and its successor knows the workers', async () => {
  await using troubled = await startTroubled('hanging')
  const { pair } = troubled
  const old = pair.pidOf(0)
  process.kill(old, 'SIGSTOP')
  await until('another one has its seat', () => pair.pidOf(0) !== old, 60_000)
  expect(pair.logOf('process_hangs')).toMatchObject([{ process: 0, process_id: old }])
  expect(await statusAt(pair, 0)).toBe(200)
  expect(troubled.refused).toEqual([])
}, 90_000)
