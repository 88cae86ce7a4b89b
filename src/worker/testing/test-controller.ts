// The package's `./testing`: a controller for the tests of one worker. The connections are real mTLS with certificates made
// for the test; there is no policy. It calls the worker, and answers the worker's own `invoke` from a table.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseTrustDomain } from '../../core/spiffe-id.ts'
import { createLogger } from '../../platform/logger.ts'
import { watchCredentials } from '../../platform/tls/credentials.ts'
import { devSpiffeId, ensureDevPki } from '../../platform/tls/dev-pki.ts'
import { createTracing } from '../../platform/tracing/tracing.ts'
import { VERSION } from '../../platform/version.ts'
import type { WorkerDefinition } from '../define.ts'
import type { MakeWorker } from '../main.ts'
import { runWorker } from '../run.ts'
import { startFakeController } from './fake-controller.ts'
import { createAnswers, type Invoked, type TestAnswers } from './answers.ts'
import { createCalls, type WorkerCalls } from './worker-calls.ts'

export { refusal, type Invoked, type Refusal, type TestAnswers } from './answers.ts'
export type { TestCall, TestReply, WorkerCalls } from './worker-calls.ts'

export type TestController = AsyncDisposable & {
  /** `https://127.0.0.1:<port>` */
  readonly url: string
  /** Calls that workers have made so far, in order. */
  readonly invoked: readonly Invoked[]
  /** Runs a worker in this process and waits until it is registered. */
  run(worker: WorkerDefinition | MakeWorker): Promise<TestedWorker>
  /** Stops the workers, closes every connection, and removes the certificates. A second call waits for the first. */
  close(): Promise<void>
}

export type TestedWorker = WorkerCalls & {
  readonly workerId: string
  /** The lines of the worker's log so far. */
  readonly logged: () => Record<string, unknown>[]
  /** Deregisters and stops the worker; `close` of the controller does so too. */
  readonly close: () => Promise<void>
}

/** `answers`: what the worker's `invoke` receives per capability: a value, or a function of the call. */
export type TestControllerOptions = { readonly answers?: TestAnswers }

const TRUST_DOMAIN = parseTrustDomain('crank.local')
const CONTROLLER = 'controller'
const HEARTBEAT_MS = 1_000
const DRAIN_MS = 2_000
const RETRY_MS = 20

/** Starts a controller on a free port of the loopback. Close it at the end: `await using controller = await startTestController()`. */
export async function startTestController({ answers = {} }: TestControllerOptions = {}): Promise<TestController> {
  await using started = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'crank-testing-'))
  started.defer(() => rm(dir, { recursive: true, force: true }))
  const filesOf = (name: string) => credentialFiles(dir, name)
  const fake = await startFakeController(await filesOf(CONTROLLER), HEARTBEAT_MS)
  started.defer(() => fake.close())
  const invoked: Invoked[] = []
  fake.script('/route/', createAnswers(answers, invoked))
  const workers = started.use(new AsyncDisposableStack())
  const stack = started.move()

  async function run(worker: WorkerDefinition | MakeWorker): Promise<TestedWorker> {
    await using parts = new AsyncDisposableStack()
    const definition = typeof worker === 'function' ? await worker({ stateDir: join(dir, 'state') }) : worker
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const log = createLogger({ level: 'debug', service: `crank-${definition.id}`, destination })
    const source = parts.adopt(await watchCredentials(await filesOf(certificateName(definition)), clock(log)), (one) =>
      one.close(),
    )
    const tracing = await createTracing({ service: definition.id, version: VERSION, env: {}, log })
    const controllerId = devSpiffeId(TRUST_DOMAIN, CONTROLLER)
    const running = await runWorker(definition, {
      config: {
        controllerUrls: [fake.url],
        controllerId,
        host: '127.0.0.1',
        port: 0,
        workerUrl: undefined,
        instance: undefined,
      },
      log,
      tracing,
      source,
      now: Date.now,
      random: Math.random,
      drainMs: DRAIN_MS,
      firstRetryMs: RETRY_MS,
    })
    parts.defer(() => running.close())
    await running.registered
    const pool = fake.poolTo(running.url, source.current().spiffeId)
    const own = workers.use(parts.move())
    const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    return { ...createCalls(pool), workerId: running.workerId, logged, close: () => own.disposeAsync() }
  }

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= stack.disposeAsync())
  return { url: fake.url, invoked, run, close, [Symbol.asyncDispose]: close }
}

function clock(log: ReturnType<typeof createLogger>) {
  return { now: Date.now, log }
}

/** The certificate is named after the id, in the form that the development PKI supports. */
function certificateName({ id }: WorkerDefinition): string {
  return id.startsWith('worker-') ? id : `worker-${id}`
}

async function credentialFiles(dir: string, name: string) {
  const pki = await ensureDevPki({ dir: join(dir, 'pki'), trustDomain: TRUST_DOMAIN, names: [name], now: Date.now })
  const files = pki[name]
  if (files === undefined) throw new Error(`no certificate was made for ${name}`)
  return files
}
