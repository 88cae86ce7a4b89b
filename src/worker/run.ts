// A running worker: starts the server, the registration and the client of the controller, and stops them in order.
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { within } from '../platform/within.ts'
import type { RegisterBody } from '../core/wire.ts'
import type { CredentialSource } from '../platform/tls/credentials.ts'
import type { Logger } from '../platform/logger.ts'
import { createPeerVerifier } from '../platform/svid/verify.ts'
import type { Tracing } from '../platform/tracing/tracing-port.ts'
import type { WorkerConfig } from './config.ts'
import { createControllerClient, type ControllerClient } from './controller-client.ts'
import type { ControllerChange } from './controllers/endpoint-health.ts'
import type { WorkerDefinition } from './define.ts'
import { createExecute } from './execute.ts'
import { createInvoke } from './invoke.ts'
import { startRegistration, type Registration } from './registration.ts'
import { createWorkerServer, type Health } from './serve.ts'
import { createSlots, type Slots } from './slots.ts'

export type RunOptions = {
  readonly config: Pick<WorkerConfig, 'controllerUrls' | 'controllerId' | 'host' | 'port' | 'workerUrl' | 'instance'>
  readonly log: Logger
  /** Number of log lines lost because the reader of the log was too slow. */
  readonly droppedLines?: () => number
  readonly tracing: Tracing
  readonly source: CredentialSource
  /** Milliseconds since 1970, to check certificates. */
  readonly now: () => number
  /** Returns a number from 0 to below 1, for jitter. */
  readonly random: () => number
  readonly drainMs?: number
  readonly heartbeatMs?: number
  readonly firstRetryMs?: number
  readonly deniedRetryMs?: number
}

export type RunningWorker = {
  readonly workerId: string
  readonly port: number
  /** The `worker_url` sent to the controller. */
  readonly url: string
  /** Resolves with the first registration. */
  readonly registered: Promise<void>
  /** Deregisters, lets running calls end (10 s), aborts the rest. Never rejects; a second call waits for the first. */
  close(): Promise<void>
}

const DRAIN_MS = 10_000
const CLOSE_MS = 1_000

/** The parts that are created after the start. */
type Life = { registration: Registration | undefined; closing: Promise<void> | undefined }
type Parts = {
  readonly app: FastifyInstance
  readonly client: ControllerClient
  readonly slots: Slots
  readonly stopped: AbortController
}

/**
 * Listens, then stays registered while it runs. @throws when it cannot listen. The caller closes `source` and
 * `tracing`.
 */
export async function runWorker(definition: WorkerDefinition, options: RunOptions): Promise<RunningWorker> {
  const { config, log } = options
  const workerId = config.instance === undefined ? definition.id : `${definition.id}.${config.instance}`
  const life: Life = { registration: undefined, closing: undefined }
  const parts = build(definition, workerId, life, options)
  const port = await listen(parts.app, config)
  const facts = { worker_id: workerId, port, url: config.workerUrl ?? originOf(config.host, port) }
  log.info({ event: 'worker_listening', ...facts }, 'worker listens')
  const capabilities = definition.capabilities.map(({ schema }) => schema)
  const registration = startRegistration({
    ...options,
    client: parts.client,
    body: { worker_id: workerId, worker_url: facts.url, capabilities, ...placingOf(definition) },
    load: () => parts.slots.inFlight(),
  })
  life.registration = registration
  const registered = registration.registered.then(() =>
    log.info({ event: 'worker_ready', ...facts }, 'worker is ready'),
  )
  return {
    workerId,
    port,
    url: facts.url,
    registered,
    close: () => (life.closing ??= shutDown(definition, registration, parts, options)),
  }
}

function placingOf({ labels, weight }: WorkerDefinition): Pick<RegisterBody, 'labels' | 'weight'> {
  return { ...(labels !== undefined && { labels: { ...labels } }), ...(weight !== undefined && { weight }) }
}

function build(definition: WorkerDefinition, workerId: string, life: Life, options: RunOptions): Parts {
  const { source, tracing, log, now, random, droppedLines = () => 0 } = options
  const { controllerUrls, controllerId } = options.config
  const verifier = createPeerVerifier({ now })
  const report = (change: ControllerChange): void => logChange(log, change)
  const client = createControllerClient({ controllerUrls, controllerId, source, verifier, random, report })
  const slots = createSlots()
  const stopped = new AbortController()
  const execute = createExecute({
    ...options,
    definition,
    workerId,
    slots,
    invokeFor: (call) => createInvoke(client, tracing, call),
    stopped: stopped.signal,
  })
  const capabilities = definition.capabilities.map(({ capability }) => capability)
  const health = (): Health => ({
    status: life.closing === undefined ? 'ok' : 'draining',
    worker_id: workerId,
    capabilities,
    in_flight: slots.inFlight(),
    registered: life.registration?.isRegistered() ?? false,
    log_lines_dropped: droppedLines(),
  })
  const app = createWorkerServer({ source, verifier, controllerId, execute, health, log, now })
  return { app, client, slots, stopped }
}

function logChange(log: Logger, { change, ...facts }: ControllerChange): void {
  if (change === 'avoided') log.warn({ event: 'controller_avoided', ...facts }, 'calls go to the other controllers')
  else log.info({ event: 'controller_used_again', ...facts }, 'the controller gets calls again')
}

async function shutDown(
  definition: WorkerDefinition,
  registration: Registration,
  parts: Parts,
  { log, drainMs = DRAIN_MS }: RunOptions,
): Promise<void> {
  const { slots, stopped, app, client } = parts
  log.info({ event: 'worker_draining', in_flight: slots.inFlight() }, 'worker drains')
  await registration.close()
  await within(drainMs, slots.idle())
  stopped.abort()
  await closeServer(app)
  await client.close()
  await closeDefinition(definition, log)
  log.info({ event: 'worker_stopped' }, 'worker stopped')
}

async function closeDefinition({ close }: WorkerDefinition, log: Logger): Promise<void> {
  try {
    await close?.()
  } catch (err: unknown) {
    log.error({ event: 'worker_close_failed', err }, 'the worker could not release its resources')
  }
}

async function listen(app: FastifyInstance, { host, port }: RunOptions['config']): Promise<number> {
  await app.listen({ host, port })
  return (app.server.address() as AddressInfo).port
}

function originOf(host: string, port: number): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Waits for answers that are being sent, then closes the remaining connections. */
async function closeServer(app: FastifyInstance): Promise<void> {
  const closed = app.close().then(() => undefined)
  await within(CLOSE_MS, closed)
  app.server.closeAllConnections()
  await closed
}
