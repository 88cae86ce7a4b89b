// A controller of several processes, for several cores: the parent serves nothing. It keeps what they share (the store of
// idempotency keys, the registry on disk, the order of changes), replaces a process that ends, and ends them together.
import type { ChildProcess } from 'node:child_process'
import type { Logger } from '../platform/logger.ts'
import { createRegistry } from '../platform/metrics.ts'
import { VERSION } from '../platform/version.ts'
import type { BlockSource } from '../policy/data/block-entry.ts'
import type { ControllerConfig } from './config.ts'
import { createIdempotencyMetrics } from './metrics/idempotency-metrics.ts'
import { familiesOf, type MetricFamily } from './metrics/merged-metrics.ts'
import { createProcessMetrics } from './metrics/process-metrics.ts'
import { createFamily } from './processes/family.ts'
import { createPolicyTurns } from './processes/policy-turns.ts'
import { createSeats } from './processes/seats.ts'
import type { Serving, Task } from './processes/words.ts'
import { createAwaited } from './routing/awaited.ts'
import type { HintFile } from './routing/hint-file.ts'
import { Registry } from './routing/registry.ts'
import { createRoll } from './routing/roll.ts'
import { startSweeper } from './routing/sweeper.ts'
import { openCredentials } from '../platform/open-credentials.ts'
import type { StoreLink } from './store/store-link.ts'
import { shareChainKeys } from './start/start-chains.ts'
import { openBlocks, startMesh } from './start/start-mesh.ts'
import { startStoreLink } from './start/start-store.ts'
import { refuseUsedPort } from './start/listen.ts'
import { openKeyStore } from './start/start-idempotency.ts'
import { openHint } from './start/start-workers.ts'

type RunningParent = {
  readonly port: number
  /** How many processes serve. */
  readonly serving: () => number
  /** Ends all processes in order: each leaves, drains and ends as after this signal. */
  readonly close: (signal: 'SIGTERM' | 'SIGINT') => Promise<void>
}

type ParentOptions = {
  readonly config: ControllerConfig
  /** The file that a process that serves runs. */
  readonly entry: URL
  readonly flags: Task['flags']
  readonly env: NodeJS.ProcessEnv
  readonly log: Logger
  /** How long a process may take to end. */
  readonly endMs: number
  /** Called before a process is started; from then on the parent must be closed. */
  readonly beforeStarting?: () => void
}

/** A process that serves could not start. It has said why, unless a signal ended it: then `code` is null. */
export class ChildStartError extends Error {
  override readonly name = 'ChildStartError'
  readonly code: number | null

  constructor(code: number | null, signal: NodeJS.Signals | null) {
    super(
      signal === null
        ? `a process could not start (exit code ${String(code)})`
        : `a process was ended by ${signal} while it started; if it was not you, look for a lack of memory`,
    )
    this.code = code
  }
}

/** Starts the first process, which gets the ports, then the others; resolves when all serve. @throws {ConfigError | ChildStartError} */
export async function startParent(options: ParentOptions): Promise<RunningParent> {
  await using opened = new AsyncDisposableStack()
  const { config, log, env, entry, endMs } = options
  const { processes: of } = config
  const monotonic = performance.now.bind(performance)
  await refuseUsedPort(config.listen, 'CRANK_PORT')
  await refuseUsedPort(config.admin, 'CRANK_ADMIN_PORT')
  const metricsRegistry = createRegistry()
  const hint = opened.adopt(await openHint(config, log), (it) => it.close())
  const { parts, roll } = openWorkers(config, hint, monotonic)
  const link = await openLink(config, log, monotonic, opened)
  const keyMetrics = createIdempotencyMetrics(metricsRegistry)
  const store = openKeyStore({ config, now: Date.now, monotonic, log, opened }, link, keyMetrics)
  keyMetrics.observe(store.health)
  const starts = createStarts(of)
  const blocks = link && (await openShared({ config, log, opened }, link))
  const family = createFamily({
    ...{ of, store, log, blocks, parts, roll },
    mesh: () => mesh,
    turns: createPolicyTurns(),
    ownMetrics: () => ownFamilies(metricsRegistry),
    onServing: (slot, serving) => starts.serves(slot, serving),
  })
  const mesh = link && startMesh({ config, log, monotonic, opened, metricsRegistry }, link, { parts, ...family })
  opened.use(startSweeper({ ...parts, heartbeatIntervalMs: config.heartbeatIntervalMs, onRemoved: family.removed }))
  const metrics = createProcessMetrics(metricsRegistry, { of, serving: family.serving })
  const seats = createSeats({
    ...{ entry, env, log, monotonic },
    taskOf: (slot) => ({ seat: { slot, of }, flags: options.flags, ports: starts.ports() }),
    onStarted: family.joined,
    hasServed: starts.hasServed,
    onEnded(slot, child, isReplaced) {
      family.left(slot, child)
      if (isReplaced) metrics.ended()
    },
  })
  let ended: Promise<void> | undefined
  const stop = (signal: 'SIGTERM' | 'SIGINT'): Promise<void> =>
    (ended ??= seats.stop(endMs, (child) => family.tellToStop(child, signal)))
  opened.defer(() => stop('SIGINT'))
  options.beforeStarting?.()
  const first = await starts.of(0, seats.start(0))
  await Promise.all(Array.from({ length: of - 1 }, (_, at) => starts.of(at + 1, seats.start(at + 1))))
  const { port, adminPort, engine, revision } = first
  const addresses = { host: config.listen.host, port, admin_host: config.admin.host, admin_port: adminPort }
  const about = { version: VERSION, engine, policy_revision: revision, processes: of }
  log.info({ event: 'controller_ready', ...addresses, ...about }, 'controller is listening')
  const release = opened.move()
  return {
    port,
    serving: family.serving,
    async close(signal) {
      await stop(signal)
      await release.disposeAsync()
      log.info({ event: 'controller_stopped', reason: 'stopped' }, 'controller has stopped')
    },
  }
}

/** The link to the shared store: the parent has it, for all processes. */
async function openLink(
  config: ControllerConfig,
  log: Logger,
  monotonic: () => number,
  opened: AsyncDisposableStack,
): Promise<StoreLink | undefined> {
  if (config.nats === undefined) return undefined
  const credentials = opened.adopt(await openCredentials(config.identity, { now: Date.now, log }), ({ close }) =>
    close(),
  )
  return startStoreLink({ config, credentials, log, monotonic, opened })
}

/** What the mesh shares beside its workers: its blocks, for all processes, and its keys, which each finds in the file. */
async function openShared(parts: Parameters<typeof openBlocks>[0], link: StoreLink): Promise<BlockSource> {
  const blocks = await openBlocks(parts, link)
  await shareChainKeys({ ...parts, now: Date.now }, link)
  return blocks
}

/** The parent's view of the workers. It gets no calls, so nothing happens when a worker comes or goes. */
function openWorkers({ heartbeatIntervalMs }: ControllerConfig, hint: HintFile, monotonic: () => number) {
  const registry = new Registry({ processId: '', heartbeatIntervalMs, monotonic, onGone: hint.forget })
  const awaited = createAwaited(hint.found)
  return { parts: { registry, awaited, monotonic }, roll: createRoll({ registry, awaited, hint }) }
}

/** Waits for the first start of each process; what ends later is replaced. */
function createStarts(of: number) {
  const waiting = Array.from({ length: of }, () => Promise.withResolvers<Serving>())
  const served = new Set<number>()
  let ports: Task['ports']
  return {
    ports: () => ports,
    hasServed: (slot: number) => served.has(slot),
    serves(slot: number, serving: Serving): void {
      const { port, adminPort } = serving
      ports ??= { port, adminPort }
      served.add(slot)
      waiting[slot]?.resolve(serving)
    },
    of(slot: number, child: ChildProcess): Promise<Serving> {
      const { promise, reject } = waiting[slot] ?? Promise.withResolvers<Serving>()
      child.once('exit', (code, signal) => reject(new ChildStartError(code, signal)))
      // It could not even be started.
      child.once('error', reject)
      return promise
    },
  }
}

/** Not the metrics of its event loop: it does next to nothing, and would make the mean of all look good. */
async function ownFamilies(registry: ReturnType<typeof createRegistry>): Promise<MetricFamily[]> {
  return (await familiesOf(registry)).filter(({ name }) => !name.startsWith('nodejs_'))
}
