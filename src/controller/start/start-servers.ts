// Builds the two servers, which do not listen yet: mTLS for workers, and the admin listener for operators.
import type { FastifyInstance } from 'fastify'
import { createConnectionKeeper, type ConnectionKeeper } from '../../platform/tls/connection-keeper.ts'
import { VERSION } from '../../platform/version.ts'
import { createAsk } from '../../policy/ask.ts'
import { shadowEntries } from '../../policy/data/enforcement.ts'
import type { AuditStates, RotateReply } from '../../core/wire.ts'
import { createAdmin } from '../admin.ts'
import { recordHandshakes } from '../edge/handshakes.ts'
import { hasCertificate } from '../identity/blocked-certificates.ts'
import { registryOf } from '../metrics/merged-metrics.ts'
import { mergeReadiness } from '../processes/merged-readiness.ts'
import type { Readiness } from '../readiness.ts'
import { describeCapabilities, describeWorkers } from '../routing/catalog.ts'
import { createServer, type MtlsServer } from '../server.ts'
import { createDrainWorker } from '../steps/drain-worker.ts'
import { createRefusalRecorder } from '../steps/record-refusal.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'
import type { StartedSteps, StepParts } from './start-steps.ts'

/** How far the shutdown has progressed. */
export type Ending = {
  /** Not ready: callers should go elsewhere, but are still served. */
  leaving: boolean
  /** No new calls are accepted. */
  draining: boolean
  /** The drain is over: open connections are cut. */
  cut: boolean
}

type ServerParts = StepParts & {
  readonly steps: StartedSteps
  readonly ending: Readonly<Ending>
  readonly readiness: () => Readiness
}

export type StartedServers = {
  readonly mtls: MtlsServer
  readonly admin: FastifyInstance
  readonly keeper: ConnectionKeeper
}

export async function startServers(ground: Ground, parts: ServerParts): Promise<StartedServers> {
  const { credentials, verifier, log, opened } = ground
  const mtls = opened.adopt(await buildMtls(ground, parts), (it) => it.close())
  recordHandshakes(mtls.server, { strangers: parts.audit.strangers, log, now: ground.now })
  const keeper = opened.adopt(
    createConnectionKeeper({ server: mtls.server, source: credentials, verifier, log }),
    ({ close }) => close(),
  )
  const admin = opened.adopt(await buildAdmin(ground, parts, mtls), (it) => it.close())
  return { mtls, admin, keeper }
}

function buildMtls(
  ground: Ground,
  { audit, admission, policy, workers, chains, steps, ending }: ServerParts,
): Promise<MtlsServer> {
  const { config, credentials, verifier, metrics, log, now, monotonic, startTimeout, tracing, siblings } = ground
  const { registry } = workers
  const { strangers, peers } = audit
  return createServer({
    route: steps.route,
    chains,
    startTimeout,
    arrive: admission.arrive,
    register: steps.register,
    heartbeat: steps.heartbeat,
    deregister: steps.deregister,
    workers: (query) => describeWorkers(registry, { clock: clockOf(ground), withUrls: false }, query),
    capabilities: (query) => describeCapabilities(registry, { clock: clockOf(ground) }, query),
    tracer: tracing.tracer,
    metrics,
    workerIdOf: (caller) => registry.list().find(({ spiffeId }) => spiffeId === caller)?.workerId,
    isLeaving: () => ending.leaving,
    isDraining: () => ending.draining,
    isCut: () => ending.cut,
    isBlocked: (identity) => policy.files().blocked.identities.has(identity),
    isCertificateBlocked: (peer) => hasCertificate(policy.files().blocked.certificates, peer),
    credentials: credentials.current(),
    gate: { source: credentials, verifier, now },
    tlsRefuseUnverified: config.tlsRefuseUnverified,
    bodyLimitBytes: config.bodyLimitBytes,
    maxConnections: partOf(config.maxConnections, siblings),
    monotonic,
    isBusy: () => admission.gate.isBusy(),
    now,
    fastifyOtel: ground.fastifyOtel,
    onRefused: createRefusalRecorder({ strangers, peers, policyRevision: policy.revision, metrics, log, now }),
  })
}

function buildAdmin(ground: Ground, parts: ServerParts, mtls: MtlsServer): Promise<FastifyInstance> {
  const { config, log, now, monotonic } = ground
  const { audit, policy, exceptions, candidate, workers, steps } = parts
  return createAdmin({
    ...viewOfAll(ground, parts),
    allowedHosts: config.adminAllowedHosts,
    workers: (query) => describeWorkers(workers.registry, { clock: clockOf(ground), withUrls: true }, query),
    audit: { rotate: () => rotateAll(ground, audit), states: () => statesOfAll(ground, audit) },
    drain: {
      drain: createDrainWorker({ registry: workers.registry, share: workers.roll.share, append: audit.append, now }),
    },
    about: () => ({
      version: VERSION,
      engine: policy.engine,
      policy_revision: policy.revision(),
      shadow: shadowEntries(policy.files().enforcement),
      candidate: candidate?.status() ?? null,
    }),
    exceptions: { exceptions, dataFaults: policy.dataFaults, now },
    openapi: () => mtls.swagger(),
    policyAsk: { ask: createAsk({ policy, own: steps.own, monotonic, now }), policy, log },
    fastifyOtel: ground.fastifyOtel,
  })
}

/** Readiness and metrics of this process, or of all where there are several. */
function viewOfAll(
  { siblings, metricsRegistry }: Ground,
  { readiness }: ServerParts,
): Pick<Parameters<typeof createAdmin>[0], 'readiness' | 'metrics'> {
  if (siblings === undefined) {
    return { readiness: () => Promise.resolve(readiness()), metrics: () => Promise.resolve(metricsRegistry) }
  }
  return {
    readiness: async () => mergeReadiness(await siblings.readinessOfAll()),
    metrics: async () => registryOf(await siblings.metricsOfAll(), metricsRegistry),
  }
}

/** In this process, or in all where there are several. */
async function rotateAll({ siblings }: Ground, { rotate }: StepParts['audit']): Promise<RotateReply> {
  const all = siblings === undefined ? [[0, await rotate()] as const] : await siblings.rotateAll()
  return { slots: all.map(([slot, first]) => ({ slot, first_seq: first ?? null })) }
}

/** A process that does not answer in time is left out. */
async function statesOfAll({ siblings }: Ground, { state }: StepParts['audit']): Promise<AuditStates> {
  const all = siblings === undefined ? [[0, state()] as const] : await siblings.auditOfAll()
  return all.flatMap(([slot, one]) => (one === undefined ? [] : [{ slot, ...one }]))
}

/** Converts monotonic milliseconds into Unix milliseconds. */
function clockOf({ now, monotonic }: Ground): (monotonicMs: number) => number {
  return (monotonicMs) => now() - monotonic() + monotonicMs
}
