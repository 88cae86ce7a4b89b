// On the path of every call. The policy that decides, kept up to date with the disk
// or the sidecar: a change is checked, recorded and swapped in one step. If a change
// cannot be used, the last good policy stays in force and the fault is reported.
import type { Decide } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { blockReasons, withBrake } from '../../policy/brake.ts'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import { createDecisionCache, type DecisionCache } from '../../policy/decision-cache.ts'
import type { Blocked } from '../../policy/data/blocked.ts'
import type { DataFault } from '../../policy/data/data-schema.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { openEngine } from '../../policy/engine/engines.ts'
import type { EngineHost } from '../../policy/engine/engine-kind.ts'
import type { OpaTarget } from '../../policy/engine/opa-target.ts'
import { createSelfCheck } from '../../policy/engine/self-check.ts'
import { createAdoption, logDataFaults, type Adoption } from './adoption.ts'
import { createBlockFollow, type BlockFollow } from './block-follow.ts'
import { createBlockProbe } from './block-probe.ts'
import { createFreshness, type Freshness, type StalenessAction } from './freshness.ts'
import { createGuard, type Guard, type PolicyLog, type PolicyReadiness } from './guard.ts'
import { createMeshBlocks, type BlockChange, type MeshBlocks } from './mesh-blocks.ts'
import { blockedDelta, NO_DELTA } from './policy-delta.ts'
import { createPolicyFaults, type PolicyFaults } from './policy-faults.ts'
import { loadPolicyFolder } from './policy-folder.ts'
import { createPolicyLoader, type LoaderLimits, type PolicyLoader } from './policy-loader.ts'
import { sharedUtf8 } from './shared-text.ts'
import { notesText, type PolicyNote } from './policy-notes.ts'
import { watchPolicyFolder, type PolicyFault, type PolicyWatch, type WatchLimits } from './policy-watch.ts'
import { createSidecarCheck, type SidecarCheck } from './sidecar-check.ts'
import { createTransition, type PolicyChange, type Transition } from './transition.ts'

export type LivePolicy = {
  readonly engine: string
  /** Decisions come from another process. */
  readonly isRemote: boolean
  /** What was asked of a sidecar; undefined for the embedded engine. */
  readonly traffic: EngineHost['traffic']
  /** Every Decision has the `revision` of the policy that made it. */
  readonly decide: Decide
  /** Decisions about calls that may be repeated; undefined: each call is asked about. */
  readonly cache: DecisionCache | undefined
  readonly ready: () => PolicyReadiness
  readonly revision: () => string
  /** The controller's own copy of the files in force, with the blocks of the mesh among theirs. */
  readonly files: () => PolicyFiles
  /** How many entries each list blocks. */
  readonly blockCounts: () => Readonly<Record<'file' | 'mesh', number>>
  /** What the controller itself refuses, regardless of the engine; the same as `files().blocked`. */
  readonly blocked: () => Blocked
  /** Problems that do not prevent decisions. */
  readonly notes: () => readonly PolicyNote[]
  /** Called after a swap; the returned function unsubscribes. */
  readonly onChange: (listener: (change: PolicyChange) => void) => () => void
  /** Called when the policy on disk, or offered to the sidecar, cannot come into force. */
  readonly onFault: (listener: (fault: PolicyFault) => void) => () => void
  /** Faults in the data files: exceptions without effect, and faults that prevent newer files from coming into force. */
  readonly dataFaults: () => readonly DataFault[]
  /** Unix ms of the last confirmation that the policy in force is the intended one. */
  readonly lastSuccessMs: () => number
  /** Not confirmed for longer than allowed. */
  readonly isStale: () => boolean
  readonly close: () => Promise<void>
}

export type LivePolicyOptions = {
  readonly policyDir: string
  /** Undefined: the embedded engine. */
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  /** For a sidecar's bundles; see sidecar-check.ts. */
  readonly bundleRollback: 'refuse' | 'allow'
  /** To find OPA if the Rego has to be compiled. */
  readonly env: NodeJS.ProcessEnv
  /** Records a change durably before it takes effect; rejects when that fails. */
  readonly record: (change: PolicyChange) => Promise<void>
  /** Blocks that operators share among all controllers; default: there is no mesh. */
  readonly meshBlocks?: BlockSource | undefined
  /** Records a change of those durably. */
  readonly recordBlock?: (change: BlockChange, revision: string) => Promise<void>
  /** CRANK_DECISION_CACHE */
  readonly decisionCache: 'off' | 'on'
  readonly staleness: { readonly maxMs: number | undefined; readonly action: StalenessAction }
  readonly log: PolicyLog
  /** Unix ms. */
  readonly now: () => number
  readonly monotonic: () => number
  /** Waits until other processes have prepared the same policy files, too; default: there are none. */
  readonly turn?: (revision: string) => Promise<void>
  readonly limits?: Partial<WatchLimits & LoaderLimits>
}

const STALE = 'the policy has not been confirmed for longer than CRANK_POLICY_MAX_STALENESS'
const STALENESS_LOOK_MS = 500
/** A sidecar's policy may change without our knowledge for as long. */
const SIDECAR_MAX_AGE_MS = 1000

/**
 * Reads the policy folder and starts the engine; when it resolves, the first self-check is running. A start that fails
 * releases everything.
 * @throws {PolicyFilesError | StalePolicyError | PolicyCompileError} when the folder cannot be used
 */
export async function createLivePolicy(options: LivePolicyOptions): Promise<LivePolicy> {
  await using opened = new AsyncDisposableStack()
  const { policyDir, log, now, monotonic, staleness } = options
  const host = opened.adopt(openHost(options), ({ close }) => close())
  const read = await loadPolicyFolder(policyDir, now())
  const folder = { ...read, data: sharedUtf8(read.files.dataText) }
  logDataFaults(log, folder)
  const initial = await host.begin(folder.files)
  log.info({ event: 'policy_engine', engine: host.name, revision: initial.revision }, 'policy engine chosen')
  const transition = createTransition({ initial, record: options.record, log, now })
  const blocks = createBlockFollow({ dir: policyDir, transition, log })
  const freshness = createFreshness({ maxStalenessMs: staleness.maxMs, log, now, monotonic })
  const faults = createPolicyFaults({ log, revision: () => transition.current().revision })
  const adoption = createAdoption({
    folder,
    host,
    transition,
    blocks,
    log,
    turn: options.turn,
    isRetry: () => watch.cause() !== undefined,
    recheck: () => guard.recheck(),
  })
  const meshBlocks = opened.adopt(openMeshBlocks(options, transition), ({ close }) => close())
  const parts = { options, host, transition, blocks, meshBlocks, freshness, faults }
  const loader = opened.adopt(openLoader({ ...parts, adoption }), ({ close }) => close())
  const watch = opened.adopt(watchFolder({ ...parts, loader, adoption }), ({ close }) => close())
  const selfCheck = createSelfCheckInForce(options, transition)
  const { loaded } = host
  const sidecar =
    loaded &&
    createSidecarCheck({
      loaded,
      lacksBatches: () => host.traffic?.().lacksBatches === true,
      transition,
      freshness,
      watch,
      onFault: faults.report,
      timeoutMs: options.timeoutMs,
      bundleRollback: options.bundleRollback,
      log,
      now,
      monotonic,
    })
  const cache = openCache(parts, () => guard)
  const check = () => withoutRepeats(cache, () => (sidecar === undefined ? selfCheck() : sidecar.check(selfCheck)))
  const guard = opened.adopt(
    createGuard({ isRemote: host.isRemote, inForce: transition.current, check, log, now }),
    ({ stop }) => stop(),
  )
  if (staleness.maxMs !== undefined) {
    const stalenessTimer = setInterval(freshness.watch, STALENESS_LOOK_MS).unref()
    opened.defer(() => clearInterval(stalenessTimer))
  }
  const release = opened.move()
  return seenFromOutside({ ...parts, guard, cache, sidecar, close: () => release.disposeAsync() })
}

type Parts = {
  readonly options: LivePolicyOptions
  readonly host: EngineHost
  readonly transition: Transition
  readonly blocks: BlockFollow
  readonly meshBlocks: MeshBlocks
  readonly freshness: Freshness
  readonly faults: PolicyFaults
}

/** `guard`: exists when the first call comes. */
function openCache(
  { options, host, transition, meshBlocks, freshness }: Parts,
  guard: () => Guard,
): DecisionCache | undefined {
  const { decisionCache, staleness, monotonic } = options
  if (decisionCache === 'off') return undefined
  return createDecisionCache({
    inForce: transition.current,
    maxAgeMs: host.isRemote ? SIDECAR_MAX_AGE_MS : Infinity,
    monotonic,
    obstacle(input) {
      const { blocked } = meshBlocks.over(transition.current().files)
      if (blockReasons('capability_access', input, blocked).length > 0) return 'blocked'
      if (meshBlocks.obstacle() !== undefined) return 'not_ready'
      if (!guard().ready().ok) return 'not_ready'
      return staleness.action === 'deny' && freshness.isStale() ? 'stale' : undefined
    },
  })
}

/** No decision from before or during a self-check is repeated after it. */
async function withoutRepeats<T>(cache: DecisionCache | undefined, check: () => Promise<T>): Promise<T> {
  cache?.clear()
  try {
    return await check()
  } finally {
    cache?.clear()
  }
}

function openMeshBlocks(
  { meshBlocks: source, recordBlock, log }: LivePolicyOptions,
  { current }: Transition,
): MeshBlocks {
  return createMeshBlocks({ source, record: async (change) => recordBlock?.(change, current().revision), log })
}

function openHost({ opa, timeoutMs, env, now, log }: LivePolicyOptions): EngineHost {
  const onCompile = (reason: string): void =>
    log.warn({ event: 'policy_compiled', reason }, 'policy.wasm cannot be used: OPA compiles the Rego')
  return openEngine({ opa, timeoutMs, env, now, onCompile })
}

type LoaderParts = Pick<Parts, 'options' | 'host' | 'blocks'> & { readonly adoption: Adoption }

function openLoader({ options, host, blocks, adoption }: LoaderParts): PolicyLoader {
  const { policyDir: dir, env, now, limits = {} } = options
  const { during } = blocks
  return createPolicyLoader({ dir, env, now, during, engine: !host.isRemote, current: adoption.folder, limits })
}

function watchFolder(parts: Parts & { readonly loader: PolicyLoader; readonly adoption: Adoption }): PolicyWatch {
  const { options, host, blocks, freshness, faults, loader, adoption } = parts
  return watchPolicyFolder({
    dir: options.policyDir,
    seen: adoption.folder().signature,
    load: loader.load,
    adopt: adoption.adopt,
    // With a sidecar, only the sidecar check can confirm the policy.
    onConfirmed: () => host.loaded === undefined && freshness.confirm(),
    onStuck: blocks.takeFromFolder,
    onFault: faults.reportFolder,
    onMended: faults.folderIsFine,
    now: options.now,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
}

function createSelfCheckInForce({ now, monotonic }: LivePolicyOptions, { current }: Transition) {
  const probeable = createBlockProbe(monotonic)
  return () => {
    const inForce = current()
    return createSelfCheck({ ...inForce, now, isProbeable: probeable(inForce.files.blocked) })()
  }
}

type Running = Parts & {
  readonly guard: Guard
  readonly cache: DecisionCache | undefined
  readonly sidecar: SidecarCheck | undefined
  readonly close: () => Promise<void>
}

function seenFromOutside(running: Running): LivePolicy {
  const { options, host, transition, meshBlocks, freshness, faults, guard, cache, sidecar, close } = running
  const { action } = options.staleness
  const { current } = transition
  const files = () => meshBlocks.over(current().files)
  const blocked = () => files().blocked
  const revision = () => current().revision
  const notes = () => [...faults.notes(), ...(sidecar?.notes() ?? []), ...meshBlocks.notes()]
  const decide: Decide = async (question, input, trace) => {
    const obstacle = meshBlocks.obstacle()
    if (obstacle !== undefined) throw new AppError('policy_not_ready', undefined, { cause: new Error(obstacle) })
    if (action === 'deny' && freshness.isStale()) {
      throw new AppError('policy_not_ready', undefined, { cause: new Error(STALE) })
    }
    const { revision: asked } = current()
    const decision = await guard.decide(question, input, trace).catch((cause: unknown) => {
      // What an engine said before it failed is not repeated.
      cache?.clear()
      throw cause
    })
    if (decision.revision === undefined) return { ...decision, revision: asked }
    cache?.noteRevision(decision.revision)
    await sidecar?.noteBundle(decision.revision)
    return decision
  }
  return {
    engine: host.name,
    isRemote: host.isRemote,
    traffic: host.traffic,
    decide: withBrake({ blocked, revision }, decide),
    cache,
    ready() {
      const readiness = guard.ready()
      const obstacle = meshBlocks.obstacle()
      if (readiness.ok && obstacle !== undefined) return { ok: false, reason: obstacle }
      if (readiness.ok && action !== 'warn' && freshness.isStale()) return { ok: false, reason: STALE }
      const reason = readiness.ok ? notesText(notes()) : undefined
      return reason === undefined ? readiness : { ok: true, reason }
    },
    revision,
    files,
    blocked,
    blockCounts: () => ({ file: sizeOf(current().files.blocked), mesh: sizeOf(meshBlocks.blocked()) }),
    notes,
    onChange(listener) {
      const ends = [
        transition.onChange(listener),
        meshBlocks.onChange((before) => listener(blockChangeOf(running, before))),
      ]
      return () => ends.forEach((end) => end())
    },
    onFault: faults.onFault,
    dataFaults: () => [...current().files.dataFaults, ...faults.refused()],
    lastSuccessMs: freshness.lastSuccessMs,
    isStale: freshness.isStale,
    close,
  }
}

/** A change of the mesh's list as one of the controller's own list. */
function blockChangeOf({ transition, meshBlocks }: Parts, before: Blocked): PolicyChange {
  const inForce = transition.current()
  const changed = blockedDelta(before, meshBlocks.blocked()) ?? NO_DELTA
  return { scope: 'blocked', previous: inForce, next: inForce, changed }
}

function sizeOf({ identities, capabilities, certificates }: Blocked): number {
  return identities.size + capabilities.size + certificates.size
}
