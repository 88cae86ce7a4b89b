// The composition root: configuration -> parts -> servers -> listen -> close, in the order things are needed. The only
// caller of the create* functions; clock and randomness come in here.
import { randomUUID } from 'node:crypto'
import type { Server } from 'node:net'
import { watchCredentials } from '../platform/tls/credentials.ts'
import { ConfigError } from '../platform/env.ts'
import type { HostLookupOptions } from '../platform/host-lookup.ts'
import { createProcessLog, type ProcessLog } from '../platform/logger.ts'
import { createRegistry } from '../platform/metrics.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { createPeerVerifier } from '../platform/svid/peer.ts'
import { createTracing } from '../platform/tracing/tracing.ts'
import { VERSION } from '../platform/version.ts'
import { createAdmin } from './admin.ts'
import { isoTime } from '../audit/event.ts'
import type { AuditLog } from './audit/group-commit.ts'
import { createRefusalBudget } from './audit/refusal-budget.ts'
import { openAuditLog } from './audit/writer.ts'
import type { ControllerConfig } from './config.ts'
import { createProbe } from './dispatch/probe.ts'
import { createWorkerConnectors } from './dispatch/worker-connector.ts'
import { createWorkerPools } from './dispatch/worker-pools.ts'
import { drain } from './edge/drain.ts'
import { createFastifyOtel } from './edge/fastify-otel.ts'
import { createConnectionKeeper } from '../platform/tls/connection-keeper.ts'
import { recordHandshakes } from './edge/handshakes.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { createLogMetrics } from './metrics/log-metrics.ts'
import { createPipeline } from './pipeline.ts'
import { shadowEntries } from '../policy/data/enforcement.ts'
import { notedCauses } from './live-policy/policy-notes.ts'
import { readinessOf } from './readiness.ts'
import { describeCapabilities, describeWorkers } from './routing/catalog.ts'
import { Registry } from './routing/registry.ts'
import { createServer } from './server.ts'
import { startExceptions } from './start/start-exceptions.ts'
import { startCandidate } from './start/start-candidate.ts'
import { startPolicy } from './start/start-policy.ts'
import { createAsk } from '../policy/ask.ts'
import { createForward } from './steps/forward.ts'
import { createJudge } from '../policy/judge.ts'
import { createJudgeCall } from './steps/judge-call.ts'
import { createReconsider } from './steps/reconsider.ts'
import { createRecorder } from './steps/record.ts'
import { createRefusalRecorder } from './steps/record-refusal.ts'
import { createRegister } from './steps/register.ts'
import { createTryCandidate } from './steps/try-candidate.ts'
import { createOwnKnowledge } from '../policy/ruling.ts'

export type RunningController = {
  readonly port: number
  readonly adminPort: number
  /** Drains, records the end, frees everything. A second call waits for the first. */
  readonly close: (reason?: string) => Promise<void>
}

type Options = {
  readonly config: ControllerConfig
  readonly env: NodeJS.ProcessEnv
  /** What asks the system for the addresses of a name. */
  readonly lookup?: HostLookupOptions['lookup']
  /** From then on the controller must be closed. */
  readonly beforeListening?: () => void
  /** The log of the process, where there is one already. */
  readonly processLog?: ProcessLog
}

/** The controller's name in spans and logs, unless OTEL_* gives another. */
export const SERVICE = 'crank-controller'
const SWEEP_MS = 500
const REFUSALS_RECORDED_PER_SECOND = 50

/** Starts a controller and resolves when both listeners are open. Readiness follows when the policy is loaded. */
export async function startController(options: Options): Promise<RunningController> {
  const { config, env, processLog, lookup, beforeListening } = options
  const now = Date.now
  const monotonic = performance.now.bind(performance)
  const ownLog = processLog ?? createProcessLog({ level: config.logLevel, service: serviceName(env, SERVICE) })
  const { log, droppedLines } = ownLog
  const onLost = (count: number): void => metrics.spansLost(count)
  const tracing = await createTracing({ service: SERVICE, version: VERSION, env, log, onLost })
  const { tracer } = tracing
  const fastifyOtel = await createFastifyOtel(tracing)
  const metricsRegistry = createRegistry()
  const metrics = createMetrics(metricsRegistry, { now, isDelivering: tracing.isDelivering })
  createLogMetrics(metricsRegistry, droppedLines)

  const credentials = await watchCredentials(config.tls, { now, log })
  checkOwnIdentity(config, credentials.current().spiffeId)
  credentials.onChange(() => metrics.credentialsReloaded('ok'))
  credentials.onFault(() => metrics.credentialsReloaded('failed'))
  const verifier = createPeerVerifier({ now })
  const { auditFile: file, auditSync: sync } = config
  const onDropped = (count: number): void => metrics.audited('dropped', count)
  const { auditSegmentOpened: onSegment } = metrics
  const auditLog = await openAuditLog({ file, sync, now, monotonic, log, onDropped, onSegment })
  const append = countedAppend(auditLog, metrics)
  const strangers = createRefusalBudget({ perSecond: REFUSALS_RECORDED_PER_SECOND, append, now })
  const peers = createRefusalBudget({ perSecond: REFUSALS_RECORDED_PER_SECOND, append, now })
  const policy = await startPolicy({ config, env, append, metrics, log, now, monotonic })
  const exceptions = startExceptions({ policy, metricsRegistry, log, now })

  const { heartbeatIntervalMs, workerHosts } = config
  const reach = { source: credentials, verifier, rules: workerHosts, monotonic, lookup }
  const connectorFor = createWorkerConnectors(reach)
  const pools = createWorkerPools({ connectorFor })
  const registry = new Registry({ heartbeatIntervalMs, monotonic, now, newLease: randomUUID, onGone: pools.release })
  const sweeper = setInterval(() => registry.sweep(), Math.min(SWEEP_MS, heartbeatIntervalMs))

  const reconsider = createReconsider({ ...policy, registry, append, log, now })
  policy.onChange(() => void reconsider())

  const own = createOwnKnowledge(policy.files)
  const judge = createJudge({ policy, own, tracer, monotonic })
  const candidate = startCandidate({ ...config, env, log, monotonic, registry: metricsRegistry })
  const recorder = createRecorder({ append, log, metrics, now, onExceptionUsed: exceptions.used })
  let draining = false
  let cut = false
  const clock = (monotonicMs: number): number => now() - monotonic() + monotonicMs
  const readiness = () =>
    readinessOf({
      policy: policy.ready,
      audit: auditLog.health.bind(auditLog),
      svid: credentials.current,
      isDraining: () => draining,
      now,
    })

  const app = await createServer({
    route: createPipeline({
      judge: createJudgeCall({ judge, now }),
      tryCandidate: createTryCandidate(candidate),
      recordVerdict: recorder.recordVerdict,
      forward: createForward({
        providers: registry.providers.bind(registry),
        isKnown: (capability) => policy.files().knownCapabilities.has(capability),
        poolOf: pools.poolOf,
        tracer,
        monotonic,
        random: Math.random,
      }),
      recordOutcome: recorder.recordOutcome,
    }),
    register: createRegister({
      judge,
      record: recorder.recordRegistration,
      probe: createProbe({ connectorFor, log }),
      registry,
      // The policy may have changed while the worker was probed.
      onRegistered: ({ revision }) => void (revision === policy.revision() || reconsider()),
      workerHosts,
      heartbeatIntervalMs,
      now,
    }),
    heartbeat(claim, load) {
      registry.heartbeat(claim, load)
      return { status: 'acknowledged', timestamp: isoTime(now()) }
    },
    deregister(claim) {
      registry.deregister(claim)
      return { status: 'deregistered' }
    },
    workers: (query) => describeWorkers(registry, { clock, withUrls: false }, query),
    capabilities: (query) => describeCapabilities(registry, query),
    tracer,
    metrics,
    workerIdOf: (caller) => registry.list().find(({ spiffeId }) => spiffeId === caller)?.workerId,
    isDraining: () => draining,
    isCut: () => cut,
    isBlocked: (identity) => policy.files().blocked.identities.has(identity),
    credentials: credentials.current(),
    gate: { source: credentials, verifier, now },
    tlsRefuseUnverified: config.tlsRefuseUnverified,
    bodyLimitBytes: config.bodyLimitBytes,
    maxConnections: config.maxConnections,
    now,
    fastifyOtel,
    onRefused: createRefusalRecorder({ strangers, peers, policyRevision: policy.revision, metrics, log, now }),
  })
  recordHandshakes(app.server, { strangers, log, now })
  const keeper = createConnectionKeeper({ server: app.server, source: credentials, verifier, log })
  const admin = await createAdmin({
    readiness,
    allowedHosts: config.adminAllowedHosts,
    workers: (query) => describeWorkers(registry, { clock, withUrls: true }, query),
    about: () => ({
      version: VERSION,
      engine: policy.engine,
      policy_revision: policy.revision(),
      shadow: shadowEntries(policy.files().enforcement),
      candidate: candidate?.status() ?? null,
    }),
    exceptions: { exceptions, dataFaults: policy.dataFaults, now },
    openapi: () => app.swagger(),
    policyAsk: { ask: createAsk({ policy, own, monotonic, now }), policy, log },
    registry: metricsRegistry,
    fastifyOtel,
  })
  metrics.observe({
    workers: registry.counts.bind(registry),
    capabilities: () => registry.capabilities().size,
    providers: (capability) => registry.providers(capability).length,
    audit: auditLog.health.bind(auditLog),
    svid: credentials.current,
    policyReady: () => policy.ready().ok,
    policyLastSuccessMs: policy.lastSuccessMs,
    policyStale: policy.isStale,
    policyNotes: () => notedCauses(policy.notes()),
    shadowEntries: () => shadowEntries(policy.files().enforcement),
    openConnections: keeper.count,
  })

  const release = async (): Promise<void> => {
    clearInterval(sweeper)
    exceptions.close()
    keeper.close()
    await Promise.all([strangers.close(), peers.close()])
    await Promise.all([auditLog.close(), pools.close(), policy.close(), candidate?.close(), tracing.shutdown()])
    credentials.close()
    await admin.close()
  }

  const about = { version: VERSION, engine: policy.engine, policy_revision: policy.revision() }
  beforeListening?.()
  try {
    await listen(admin, config.admin, 'CRANK_ADMIN_PORT')
    await listen(app, config.listen, 'CRANK_PORT')
    await append({ event: 'controller_started', timestamp: isoTime(now()), ...about }, { patient: true })
  } catch (cause: unknown) {
    // Half a controller would keep the process from ending.
    await app.close()
    await release()
    throw cause
  }
  const ports = { port: portOf(app), adminPort: portOf(admin) }
  const addresses = {
    host: config.listen.host,
    port: ports.port,
    admin_host: config.admin.host,
    admin_port: ports.adminPort,
  }
  log.info({ event: 'controller_ready', ...addresses, ...about, audit_file: file }, 'controller is listening')

  const end = async (reason: string): Promise<void> => {
    draining = true
    log.info({ event: 'controller_draining', in_flight: keeper.count() }, 'no new calls; waiting for those in flight')
    await drain({ server: app.server, close: () => app.close(), onCut: () => (cut = true) }, config.drainTimeoutMs)
    await append({ event: 'controller_stopped', timestamp: isoTime(now()), reason }).catch(() => undefined)
    await release()
    log.info({ event: 'controller_stopped', reason }, 'controller has stopped')
    if (processLog === undefined) await ownLog.close()
  }
  let ended: Promise<void> | undefined
  return { ...ports, close: (reason = 'stopped') => (ended ??= end(reason)) }
}

/** Policies and workers know the controller by one name: a certificate with another would be refused by all of them. */
function checkOwnIdentity({ controllerId }: ControllerConfig, spiffeId: string): void {
  if (spiffeId === controllerId) return
  const cure = 'give it the right certificate, or set CRANK_CONTROLLER_ID'
  throw new ConfigError([`CRANK_TLS_CERT holds ${spiffeId}, but the controller's identity is ${controllerId}: ${cure}`])
}

function countedAppend(auditLog: AuditLog, metrics: Metrics): AuditLog['append'] {
  return async (event, options) => {
    try {
      await auditLog.append(event, options)
      metrics.audited('written')
    } catch (cause: unknown) {
      metrics.audited('failed')
      throw cause
    }
  }
}

async function listen(app: Listener, { host, port }: { host: string; port: number }, variable: string): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    const cure = `stop what uses it, or choose another with ${variable} (0 takes a free one)`
    throw new ConfigError([`${variable}="${port}": port ${port} on ${host} is in use; ${cure}`])
  }
}

type Listener = {
  listen: (at: { host: string; port: number }) => Promise<string>
  server: { address: Server['address'] }
}

function portOf({ server }: Listener): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
