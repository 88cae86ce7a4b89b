// The composition root: configuration -> parts -> servers -> listen -> close, in order of dependency. Each part puts what it
// opens on one stack, so that a failed start, like an orderly end, releases everything.
import { setTimeout as delay } from 'node:timers/promises'
import { isoTime } from '../core/iso-time.ts'
import type { HostLookupOptions } from '../platform/host-lookup.ts'
import { meshNote } from './mesh/mesh-health.ts'
import { createProcessLog, type ProcessLog } from '../platform/logger.ts'
import { serviceName } from '../platform/tracing/otel-settings.ts'
import { VERSION } from '../platform/version.ts'
import { shadowEntries } from '../policy/data/enforcement.ts'
import type { ControllerConfig } from './config.ts'
import { drain } from './edge/drain.ts'
import { notedCauses } from './live-policy/policy-notes.ts'
import { familiesOf } from './metrics/merged-metrics.ts'
import type { Siblings } from './processes/siblings.ts'
import { readinessOf, type Readiness } from './readiness.ts'
import { SERVICE, startGround, type Ground } from './start/ground.ts'
import { listen } from './start/listen.ts'
import { startAdmission } from './start/start-admission.ts'
import { startAudit } from './start/start-audit.ts'
import { startCandidate } from './start/start-candidate.ts'
import { startChains } from './start/start-chains.ts'
import { startExceptions } from './start/start-exceptions.ts'
import { startIdempotency } from './start/start-idempotency.ts'
import { startBlocks } from './start/start-mesh.ts'
import { startPolicy } from './start/start-policy.ts'
import { startServers, type Ending, type StartedServers } from './start/start-servers.ts'
import { startSlos } from './start/start-slos.ts'
import { startSteps, type StepParts } from './start/start-steps.ts'
import { startWorkers } from './start/start-workers.ts'

export { joinParent } from './processes/child.ts'
export type { Seat, Task } from './processes/words.ts'
export { SERVICE } from './start/ground.ts'

export type RunningController = {
  readonly port: number
  readonly adminPort: number
  /** The lame-duck time: not ready, but calls are still served. Resolves when it is over and `close` should follow. */
  readonly leave: () => Promise<void>
  /** Drains, records the end, releases everything. A second call waits for the first. */
  readonly close: (reason?: string) => Promise<void>
}

type ControllerOptions = {
  readonly config: ControllerConfig
  readonly env: NodeJS.ProcessEnv
  /** Resolves a name to its addresses; default: the system. */
  readonly lookup?: HostLookupOptions['lookup']
  /** The clock by which error budgets burn, in ms; default: the monotonic clock. */
  readonly sloClock?: () => number
  /** Called before a listener opens; from then on the controller must be closed. */
  readonly beforeListening?: () => void
  /** The other processes of this controller; undefined: there are none. */
  readonly siblings?: Siblings
  /** The log of the process, if there is one already. */
  readonly processLog?: ProcessLog
}

/** Starts a controller and resolves when both listeners are open. Readiness follows when the policy is loaded. */
export async function startController(options: ControllerOptions): Promise<RunningController> {
  await using outer = new AsyncDisposableStack()
  const { config, env, lookup, beforeListening, siblings } = options
  const processLog = options.processLog ?? outer.adopt(openLog(config, env), ({ close }) => close())
  // Within the log, so that the log can report the end of everything else.
  const opened = outer.use(new AsyncDisposableStack())
  const ground = await startGround({ config, env, processLog, opened, siblings, sloClock: options.sloClock })
  const audit = await startAudit(ground)
  const policy = await startPolicy(ground, audit.append, await startBlocks(ground))
  const exceptions = startExceptions(ground, policy)
  const candidate = startCandidate(ground)
  // Before the workers: it closes after the calls to them have ended.
  const idempotency = startIdempotency(ground)
  const slos = await startSlos(ground, policy)
  const workers = await startWorkers(ground, policy, lookup)
  const chains = await startChains(ground)
  const admission = startAdmission(ground, policy)
  const parts = { audit, admission, policy, exceptions, candidate, idempotency, slos, workers, chains }
  const steps = startSteps(ground, parts)
  const ending: Ending = { leaving: false, draining: false, cut: false }
  const readiness = readinessFrom(ground, parts, ending)
  const servers = await startServers(ground, { ...parts, steps, ending, readiness })
  observe(ground, parts, servers)

  beforeListening?.()
  const isShared = siblings !== undefined
  const adminPort = await listen(servers.admin, config.admin, { variable: 'CRANK_ADMIN_PORT', isShared })
  const port = await listen(servers.mtls, config.listen, { variable: 'CRANK_PORT', isShared })
  await recordStart(ground, parts, { port, adminPort })
  const serving = { port, adminPort, engine: policy.engine, revision: policy.files().revision }
  const answers = {
    readiness,
    metrics: () => familiesOf(ground.metricsRegistry),
    rotate: audit.rotate,
    audit: audit.state,
  }
  await siblings?.serve(serving, answers)
  steps.recall()
  audit.keepRetired()
  if (isShared) steps.review()
  const release = outer.move()
  let ended: Promise<void> | undefined
  const close = (reason = 'stopped') =>
    (ended ??= end({ ground, parts, servers, ending, reason }).finally(() => release.disposeAsync()))
  return { port, adminPort, leave: () => leave(ground, servers, ending), close }
}

function readinessFrom(
  { credentials, now }: Ground,
  { audit, policy, slos, workers }: StepParts,
  ending: Ending,
): () => Readiness {
  return () =>
    readinessOf({
      policy: policy.ready,
      audit: audit.health,
      svid: credentials.current,
      svidFault: credentials.fault,
      slos: slos.note,
      mesh: () => meshNote(workers.meshHealth()),
      isLeaving: () => ending.leaving,
      now,
    })
}

/** Connects the gauges to their sources. */
function observe(
  { metrics, credentials }: Ground,
  { audit, policy, workers }: StepParts,
  servers: StartedServers,
): void {
  const { registry } = workers
  metrics.observe({
    workers: registry.counts.bind(registry),
    capabilities: () => registry.capabilities().size,
    providers: (capability) => registry.providers(capability).length,
    audit: audit.health,
    auditDisk: audit.disk,
    svid: credentials.current,
    policyReady: () => policy.ready().ok,
    policyLastSuccessMs: policy.lastSuccessMs,
    policyStale: policy.isStale,
    policyNotes: () => notedCauses(policy.notes()),
    blocks: policy.blockCounts,
    shadowEntries: () => shadowEntries(policy.files().enforcement),
    openConnections: servers.keeper.count,
  })
}

type Ports = { readonly port: number; readonly adminPort: number }

async function recordStart(ground: Ground, { audit, policy }: StepParts, { port, adminPort }: Ports): Promise<void> {
  const { config, log, now } = ground
  const about = { version: VERSION, engine: policy.engine, policy_revision: policy.revision() }
  await audit.append({ event: 'controller_started', timestamp: isoTime(now()), ...about }, { patient: true })
  const addresses = { host: config.listen.host, port, admin_host: config.admin.host, admin_port: adminPort }
  const fields = { ...addresses, ...about, audit_dir: audit.folder }
  if (ground.siblings === undefined) log.info({ event: 'controller_ready', ...fields }, 'controller is listening')
  // The parent says that the controller is ready when all of them are.
  else log.info({ event: 'process_ready', ...fields, process_id: process.pid }, 'this process is listening')
}

type Ended = {
  readonly ground: Ground
  readonly parts: StepParts
  readonly servers: StartedServers
  readonly ending: Ending
  readonly reason: string
}

async function leave({ config, log }: Ground, { keeper }: StartedServers, ending: Ending): Promise<void> {
  ending.leaving = true
  if (config.lameDuckMs === 0) return
  const fields = { in_flight: keeper.count(), lame_duck_ms: config.lameDuckMs }
  log.info({ event: 'controller_leaving', ...fields }, 'not ready any more; calls are still served')
  await delay(config.lameDuckMs)
}

async function end({ ground, parts, servers, ending, reason }: Ended): Promise<void> {
  const { config, log, now } = ground
  const { mtls, keeper } = servers
  ending.leaving = true
  ending.draining = true
  log.info({ event: 'controller_draining', in_flight: keeper.count() }, 'no new calls; waiting for those in flight')
  const onCut = (): void => void (ending.cut = true)
  await drain({ server: mtls.server, close: () => mtls.close(), onCut }, config.drainTimeoutMs)
  await parts.audit.append({ event: 'controller_stopped', timestamp: isoTime(now()), reason }).catch(() => undefined)
  await ground.opened.disposeAsync()
  log.info({ event: 'controller_stopped', reason }, 'controller has stopped')
}

function openLog({ logLevel }: ControllerConfig, env: NodeJS.ProcessEnv): ProcessLog {
  return createProcessLog({ level: logLevel, service: serviceName(env, SERVICE) })
}
