// The foundation of every part of a controller: settings, clocks, log, traces, metrics and certificates.
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import type { ControllerConfig } from '../config.ts'
import { createFastifyOtel } from '../edge/fastify-otel.ts'
import { createLogMetrics } from '../metrics/log-metrics.ts'
import { createMetrics, type Metrics } from '../metrics/metrics.ts'
import type { StoreLink } from '../store/store-link.ts'
import type { Siblings } from '../processes/siblings.ts'
import { ConfigError } from '../../platform/setting-fault.ts'
import type { Logger, ProcessLog } from '../../platform/logger.ts'
import { createRegistry, type Registry } from '../../platform/metrics.ts'
import { createPeerVerifier, type PeerVerifier } from '../../platform/svid/verify.ts'
import { openCredentials } from '../../platform/open-credentials.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import type { Tracing } from '../../platform/tracing/tracing-port.ts'
import { createTracing } from '../../platform/tracing/tracing.ts'
import { createTimeouts, type StartTimeout } from '../../platform/timeouts.ts'
import { VERSION } from '../../platform/version.ts'
import { startStoreLink } from './start-store.ts'

/** The controller's service name in spans and logs, unless OTEL_* overrides it. */
export const SERVICE = 'crank-controller'

type GroundOptions = {
  readonly config: ControllerConfig
  readonly env: NodeJS.ProcessEnv
  readonly processLog: ProcessLog
  readonly sloClock: (() => number) | undefined
  readonly siblings: Siblings | undefined
  /** Each part registers here what it opens, in the line that opens it: a failed start releases everything. */
  readonly opened: AsyncDisposableStack
}

export type Ground = {
  readonly config: ControllerConfig
  readonly env: NodeJS.ProcessEnv
  /** The other processes of this controller; undefined: there are none. */
  readonly siblings: Siblings | undefined
  /** How many processes share each limit, this one included. */
  readonly of: number
  readonly opened: AsyncDisposableStack
  /** Unix ms. */
  readonly now: () => number
  /** Monotonic ms, for durations. */
  readonly monotonic: () => number
  /** The clock of the SLOs, monotonic ms. */
  readonly sloClock: () => number
  /** For what hardly ever takes its time out. */
  readonly startTimeout: StartTimeout
  readonly log: Logger
  readonly tracing: Tracing
  /** Makes the spans of the servers; undefined if no spans are exported. */
  readonly fastifyOtel: FastifyOtelInstrumentation | undefined
  readonly metricsRegistry: Registry
  readonly metrics: Metrics
  readonly credentials: CredentialSource
  readonly verifier: PeerVerifier
  /** The store that the controllers of a mesh share. Undefined: there is none, or the parent of this process has it. */
  readonly store: StoreLink | undefined
}

/** @throws {ConfigError | Error} when the certificates cannot be used */
export async function startGround(options: GroundOptions): Promise<Ground> {
  const { config, env, processLog, opened, sloClock, siblings } = options
  const now = Date.now
  const monotonic = performance.now.bind(performance)
  const { log, droppedLines } = processLog
  const onLost = (count: number): void => metrics.spansLost(count)
  const tracing = await createTracing({ service: SERVICE, version: VERSION, env, log, onLost })
  opened.defer(() => tracing.shutdown())
  const fastifyOtel = await createFastifyOtel(tracing)
  const metricsRegistry = createRegistry()
  const metrics = createMetrics(metricsRegistry, { now, isDelivering: tracing.isDelivering })
  createLogMetrics(metricsRegistry, droppedLines)

  const credentials = opened.adopt(await openCredentials(config.identity, { now, log }), ({ close }) => close())
  checkOwnIdentity(config, credentials.current().spiffeId)
  credentials.onChange(() => metrics.credentialsReloaded('ok'))
  credentials.onFault(() => metrics.credentialsReloaded('failed'))
  const verifier = createPeerVerifier({ now })
  const store = siblings === undefined ? startStoreLink({ config, credentials, log, monotonic, opened }) : undefined
  const { start: startTimeout } = opened.adopt(createTimeouts(), ({ close }) => close())
  return {
    config,
    env,
    siblings,
    of: siblings?.of ?? 1,
    opened,
    now,
    monotonic,
    startTimeout,
    sloClock: sloClock ?? monotonic,
    log,
    tracing,
    fastifyOtel,
    metricsRegistry,
    metrics,
    credentials,
    verifier,
    store,
  }
}

/** Policies and workers expect this one identity: all of them would refuse a certificate with another. */
function checkOwnIdentity({ controllerId }: ControllerConfig, spiffeId: string): void {
  if (spiffeId === controllerId) return
  const cure = 'use the right certificate, or set CRANK_CONTROLLER_ID'
  throw new ConfigError([
    `CRANK_TLS_CERT is for ${spiffeId}, but the controller's identity is ${controllerId}: ${cure}`,
  ])
}
