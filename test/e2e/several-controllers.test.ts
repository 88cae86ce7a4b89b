// Two controllers as processes of their own, callers and a worker that have both: restarted one after the other, killed, stopped.
// They share nothing yet, so a fake worker is registered at each.
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, onTestFailed, test, vi } from 'vitest'
import { freePorts } from '../../scripts/lab/free-port.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { createPeerVerifier } from '../../src/platform/svid/verify.ts'
import { loadCredentials } from '../../src/platform/tls/credentials.ts'
import { createControllerClient, type ControllerClient } from '../../src/worker/controller-client.ts'
import type { ControllerChange } from '../../src/worker/controllers/endpoint-health.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, STREAMING, TRUST_DOMAIN, type Parties } from '../fixtures/parties.ts'
import { createLiveSource } from '../fixtures/pki/live-source.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

const CALLERS = 8

type Member = { readonly origin: string; process: ControllerProcess; readonly start: () => Promise<ControllerProcess> }

let opened: AsyncDisposableStack
let parties: Parties
let members: Member[]
let client: ControllerClient
let changes: ControllerChange[]
beforeEach(async () => {
  opened = new AsyncDisposableStack()
  parties = opened.adopt(await createParties(), (one) => one.close())
})
afterEach(() => opened.disposeAsync())

/** Two controllers, and the client of the callers. Fake workers send no heartbeats: their interval is long. */
async function startMembers({ heartbeatMs = 60_000 } = {}): Promise<void> {
  members = await Promise.all((await freePorts(2)).map((port) => startMember(port, heartbeatMs)))
  const source = createLiveSource(await loadCredentials(await parties.filesOf(STREAMING), Date.now))
  changes = []
  client = createControllerClient({
    controllerUrls: members.map(({ origin }) => origin),
    controllerId: parseSpiffeId(`spiffe://${TRUST_DOMAIN}/controller`),
    source,
    verifier: createPeerVerifier({ now: Date.now }),
    report: (change) => void changes.push(change),
  })
  opened.defer(() => client.close())
  onTestFailed(() => {
    const logs = members.map(({ process: { lines } }) => lines)
    process.stderr.write(`${JSON.stringify({ changes, logs }, null, 1)}\n`)
  })
}

async function startMember(port: number, heartbeatMs: number): Promise<Member> {
  const env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_PORT: String(port),
    CRANK_STATE_DIR: join(parties.dir, `state-${port}`),
    CRANK_LAME_DUCK_MS: '1500',
    CRANK_HEARTBEAT_INTERVAL_MS: String(heartbeatMs),
  }
  const start = () => startControllerProcess(env)
  const member: Member = { origin: `https://127.0.0.1:${port}`, process: await start(), start }
  opened.defer(async () => {
    member.process.child.kill('SIGCONT')
    await member.process.stop('SIGKILL')
  })
  return member
}

/** Two controllers, and a worker that is registered at both. */
async function startMesh(): Promise<FakeWorker> {
  await startMembers()
  const request: Parameters<typeof startFakeWorker>[0]['request'] = async (path, options) => {
    const answers = await Promise.all(members.map(({ origin }) => parties.request(origin, path, options)))
    return answers.find(({ status }) => status !== 200) ?? answers[0]!
  }
  const worker = opened.adopt(await startFakeWorker({ ...parties, request }, greets), (one) => one.close())
  expect((await worker.register()).status).toBe(200)
  return worker
}

type Made = { readonly by?: string; readonly status?: number; readonly error?: string }

/** Callers that call one after the other until `stop`. `keyed`: each call has an idempotency key of its own. */
function startCallers({ keyed = false } = {}) {
  const made: Made[] = []
  let isOver = false
  const call = async (key: string): Promise<Made> => {
    const body = { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' }, timeout_ms: 20_000 }
    try {
      const answer = await client.route({ ...body, ...(keyed && { idempotency_key: key }) })
      await text(answer.body)
      return { by: answer.controller.name, status: answer.status }
    } catch (error: unknown) {
      return { error: (error as Error).message }
    }
  }
  const lane = async (_: unknown, name: number): Promise<void> => {
    for (let count = 0; !isOver; count++) made.push(await call(`${name}-${count}`))
  }
  const lanes = Promise.all(Array.from({ length: CALLERS }, lane))
  const stop = async (): Promise<void> => {
    isOver = true
    await lanes
  }
  // Also of a test that fails: calls of a closed client fail at once, and would leave no time for anything else.
  opened.defer(stop)
  return {
    made,
    failed: () => made.filter(({ status }) => status !== 200),
    /** Waits until `member` has answered one more call. */
    answeredBy: async ({ origin }: Member): Promise<void> => {
      const from = made.length
      const isAnswered = () => made.slice(from).some(({ by, status }) => by === origin && status === 200)
      // In the error, because a log of CI that is cut off still has it.
      const told = (cause: unknown) =>
        new Error(`not answered; ${JSON.stringify({ changes, last: made.slice(-8) })}`, { cause })
      await until(`${origin} answers`, isAnswered).catch((cause: unknown) => Promise.reject(told(cause)))
    },
    stop,
  }
}

const avoided = ({ origin }: Member) => changes.some((one) => one.change === 'avoided' && one.controller === origin)

test('restarted one after the other under load, they fail no call', async () => {
  await startMesh()
  const callers = startCallers()
  for (const member of members) {
    await callers.answeredBy(member)
    expect(await member.process.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    member.process = await member.start()
    await callers.answeredBy(member)
  }
  await callers.stop()
  expect(callers.failed()).toEqual([])
  expect(callers.made.length).toBeGreaterThan(100)
  expect(members.map(avoided)).toEqual([true, true])
})

describe('one that is killed', () => {
  test('costs callers with keys no call, and is used again after its restart', async () => {
    await startMesh()
    const [killed] = members as [Member, Member]
    const callers = startCallers({ keyed: true })
    await callers.answeredBy(killed)
    await killed.process.stop('SIGKILL')
    await until('it is avoided', () => avoided(killed))
    killed.process = await killed.start()
    await callers.answeredBy(killed)
    await callers.stop()
    expect(callers.failed()).toEqual([])
  })

  test('costs callers without keys at most the calls that were in flight there', async () => {
    await startMesh()
    const [killed, other] = members as [Member, Member]
    const callers = startCallers()
    await callers.answeredBy(killed)
    await killed.process.stop('SIGKILL')
    await until('it is avoided', () => avoided(killed))
    await callers.answeredBy(other)
    await callers.stop()
    expect(callers.failed().length).toBeLessThanOrEqual(CALLERS)
    for (const { error } of callers.failed()) expect(error).toContain('it may have been executed')
    killed.process = await killed.start()
  })
})

test('one that is stopped (SIGSTOP) costs callers with keys no call, and is used again when it goes on', async () => {
  await startMesh()
  const [stopped, other] = members as [Member, Member]
  const callers = startCallers({ keyed: true })
  await callers.answeredBy(stopped)
  stopped.process.child.kill('SIGSTOP')
  await until('it is avoided', () => avoided(stopped))
  await callers.answeredBy(other)
  stopped.process.child.kill('SIGCONT')
  await callers.answeredBy(stopped)
  await callers.stop()
  expect(callers.failed()).toEqual([])
})

test('a worker that has both is registered at one, and moves to the other when that one is killed', async () => {
  await startMembers({ heartbeatMs: 1000 })
  const worker = await startRealWorker(parties, members.map(({ origin }) => origin).join(','), createHelloWorld())
  opened.defer(() => worker.close())
  const knows = async ({ origin }: Member): Promise<boolean> =>
    (await parties.request(origin, STREAMING, { path: '/workers' })).text.includes('worker-hello-world')
  const [one, two] = await Promise.all(members.map(knows))
  expect([one, two].toSorted()).toEqual([false, true])
  const [home, other] = one === true ? members : members.toReversed()
  await home!.process.stop('SIGKILL')
  await until('the other one has it', () => knows(other!), 30_000)
  home!.process = await home!.start()
})
