// The controller's server, gate, routes, registry and dispatch without policy, audit, metrics, traces and logs: this
// measures the cost of forwarding over mTLS. A process of the bench, not a way to run Crank.
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { loadControllerConfig } from '../../src/controller/config.ts'
import { createProbe } from '../../src/controller/dispatch/probe.ts'
import { createWorkerPools } from '../../src/controller/dispatch/worker-pools.ts'
import { createPipeline } from '../../src/controller/pipeline.ts'
import { createChoose } from '../../src/controller/routing/choose.ts'
import { unshared } from '../../src/controller/processes/siblings.ts'
import { createAwaited } from '../../src/controller/routing/awaited.ts'
import { Registry } from '../../src/controller/routing/registry.ts'
import { createRoll } from '../../src/controller/routing/roll.ts'
import { WaitingRoom } from '../../src/controller/routing/waiting-room.ts'
import { createServer } from '../../src/controller/server.ts'
import { createWorkerCheck } from '../../src/controller/steps/check-worker.ts'
import { createForward } from '../../src/controller/steps/forward.ts'
import { createRegister } from '../../src/controller/steps/register.ts'
import { createSelectWorker } from '../../src/controller/steps/select-worker.ts'
import type { SpiffeId } from '../../src/core/spiffe-id.ts'
import { openCredentials } from '../../src/platform/open-credentials.ts'
import { createTimeouts } from '../../src/platform/timeouts.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createYoungCollections } from '../../src/platform/young-collections.ts'
import { createPeerVerifier } from '../../src/platform/svid/verify.ts'
import { createPinnedConnector } from '../../src/platform/tls/tls.ts'
import { reportReady } from './child.ts'
import { isSeeded, SEED_WORKER, seedProviders } from './seed-providers.ts'
import { allowAll, allowedAlready, noChains, noMetrics, nothing, noTracer, resolvedNothing } from './no-ops.ts'

const config = loadControllerConfig({ env: process.env })
const { workerHosts, heartbeatIntervalMs } = config
const now = Date.now
const monotonic = performance.now.bind(performance)
const log = createLogger({ level: 'warn', service: 'bench' })
const credentials = await openCredentials(config.identity, { now, log })
const verifier = createPeerVerifier({ now })
const seeded = isSeeded(process.env)
const connectorFor = (expected: SpiffeId) =>
  createPinnedConnector({ source: credentials, verifier, expected: seeded ? SEED_WORKER : expected })
const pools = createWorkerPools({ connectorFor, source: credentials, monotonic, onBytes: createYoungCollections() })
const registry = new Registry({
  processId: '',
  heartbeatIntervalMs,
  monotonic,
  onGone: pools.release,
})
const { share } = unshared(createRoll({ registry, awaited: createAwaited([]), hint: undefined }))
seedProviders(registry, process.env)
const groupOf = registry.group.bind(registry)
const isOpen = () => true
const room = new WaitingRoom({ groupOf, isOpen, monotonic, limits: { perCapability: 1000, inAll: 1000, bytes: 1e7 } })
const select = createSelectWorker({
  groupOf,
  isKnown: () => true,
  choose: createChoose({ random: Math.random, isOpen }),
  room,
  metrics: { waited: nothing, refused: nothing },
  tracer: noTracer,
  monotonic,
})

const { start: startTimeout } = createTimeouts()
const forward = createForward({
  ...{ select, poolOf: pools.poolOf, handOn: noChains.handOn, tracer: noTracer, monotonic, startTimeout },
  health: { ended: nothing },
  decideAgain: () => undefined,
  budget: { called: nothing, take: () => false },
  metrics: { repeated: nothing, overBudget: nothing },
})

const app = await createServer({
  chains: noChains,
  startTimeout,
  arrive: () => undefined,
  route: createPipeline({
    admit: (call) => Promise.resolve({ call, decided: nothing, [Symbol.dispose]: nothing }),
    judge: () => allowedAlready,
    tryCandidate: nothing,
    shed: () => undefined,
    recordVerdict: resolvedNothing,
    forward,
    // Only forwards, with or without a key.
    once: forward,
    recordOutcome: nothing,
  }),
  register: createRegister({
    check: createWorkerCheck({
      judge: allowAll,
      record: resolvedNothing,
      probe: createProbe({ connectorFor, log }),
      workerHosts,
      now,
    }),
    ...{
      registry,
      share,
      previous: () => undefined,
      newLease: randomUUID,
      now,
      isThere: () => Promise.resolve(false),
      log,
    },
    onRegistered: nothing,
    heartbeatIntervalMs,
  }),
  heartbeat: () => ({ status: 'acknowledged', timestamp: '' }),
  deregister: () => Promise.resolve({ status: 'deregistered' }),
  workers: () => ({ workers: [] }),
  capabilities: () => ({ capabilities: [] }),
  tracer: noTracer,
  metrics: noMetrics,
  isLeaving: () => false,
  isDraining: () => false,
  isCut: () => false,
  isBlocked: () => false,
  isCertificateBlocked: () => false,
  credentials: credentials.current(),
  gate: { source: credentials, verifier, now },
  tlsRefuseUnverified: config.tlsRefuseUnverified,
  bodyLimitBytes: config.bodyLimitBytes,
  maxConnections: config.maxConnections,
  monotonic: performance.now.bind(performance),
  isBusy: () => true,
  now,
  fastifyOtel: undefined,
  onRefused: nothing,
})
await app.listen({ host: '127.0.0.1', port: 0 })
reportReady((app.server.address() as AddressInfo).port)
