// The policy that decides, kept at what is on disk or in the sidecar: watched, checked before it counts, recorded, swapped
// in one step. A bad set leaves the last good one in force, and says so.
import { join } from 'node:path'
import type { Decide, PolicyEngine } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { createBlockFollow } from './block-follow.ts'
import type { Blocked } from '../../policy/data/blocked.ts'
import { createBlockProbe } from './block-probe.ts'
import { withBrake } from '../../policy/brake.ts'
import type { DataFault } from '../../policy/data/data-schema.ts'
import { createFreshness, type StalenessAction } from './freshness.ts'
import { createGuard, type InForce, type PolicyLog, type PolicyMetrics, type PolicyReadiness } from './guard.ts'
import type { OpaTarget } from '../../policy/engine/opa-target.ts'
import { deltaOf } from './policy-delta.ts'
import { PolicyFilesError, type PolicyFiles } from '../../policy/data/policy-files.ts'
import { loadPolicyFolder, type PolicyFolder } from './policy-folder.ts'
import { notesText, type PolicyNote } from './policy-notes.ts'
import { createPolicySource, OpaBehindError } from './policy-source.ts'
import { watchPolicyFolder, type PolicyFault, type WatchLimits } from './policy-watch.ts'
import { createSelfCheck } from '../../policy/engine/self-check.ts'
import { createSidecarCheck } from './sidecar-check.ts'
import { createTransition, type PolicyChange } from './transition.ts'

export type LivePolicy = {
  readonly engine: PolicyEngine['name']
  /** Every Decision carries the `revision` that gave it. */
  readonly decide: Decide
  readonly ready: () => PolicyReadiness
  readonly revision: () => string
  /** The controller's own copy of what is in force. */
  readonly files: () => PolicyFiles
  /** Whom and what the controller itself refuses, whatever an engine says; the same as `files().blocked`. */
  readonly blocked: () => Blocked
  /** What is to be known of a policy that decides all the same. */
  readonly notes: () => readonly PolicyNote[]
  /** After a swap; the returned function unsubscribes. */
  readonly onChange: (listener: (change: PolicyChange) => void) => () => void
  /** What is on disk, or was offered to the sidecar, is not in force. */
  readonly onFault: (listener: (fault: PolicyFault) => void) => () => void
  /** What is wrong in the data files: exceptions without effect, and what keeps a newer set from being in force. */
  readonly dataFaults: () => readonly DataFault[]
  /** Unix ms when it was last seen that the policy in force is the right one. */
  readonly lastSuccessMs: () => number
  /** Unix ms since when the policy has been in force. */
  readonly loadedAtMs: () => number
  /** Not confirmed for longer than allowed. */
  readonly isStale: () => boolean
  readonly close: () => Promise<void>
}

export type LivePolicyOptions = {
  readonly policyDir: string
  /** Undefined: the embedded engine. */
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  /** Of a sidecar's bundles; see sidecar-check.ts. */
  readonly bundleRollback: 'refuse' | 'allow'
  /** Where OPA is looked for, should the Rego have to be compiled. */
  readonly env: NodeJS.ProcessEnv
  /** Makes a change durable before it counts; rejects when it cannot. */
  readonly record: (change: PolicyChange) => Promise<void>
  readonly staleness: { readonly maxMs: number | undefined; readonly action: StalenessAction }
  readonly log: PolicyLog
  /** Unix ms. */
  readonly now: () => number
  readonly monotonic: () => number
  readonly metrics?: PolicyMetrics
  readonly limits?: Partial<WatchLimits>
}

const STALE = 'the policy has not been confirmed for longer than CRANK_POLICY_MAX_STALENESS'
const STALENESS_LOOK_MS = 500

/**
 * Reads the policy folder and starts the engine; the first self-check is under way when it resolves.
 * @throws {PolicyFilesError | StalePolicyError | PolicyCompileError} when the folder cannot be used
 */
export async function createLivePolicy(options: LivePolicyOptions): Promise<LivePolicy> {
  const { policyDir, log, now, monotonic, staleness, metrics } = options
  const source = createPolicySource(options)
  let folder = await loadPolicyFolder(policyDir, now())
  logDataFaults(log, folder)
  const initial = await source.begin(folder.files)
  log.info({ event: 'policy_engine', engine: source.engine, revision: initial.revision }, 'policy engine chosen')
  const transition = createTransition({ initial, record: options.record, log, now })
  const blocks = createBlockFollow({ dir: policyDir, transition, log })
  const freshness = createFreshness({ maxStalenessMs: staleness.maxMs, log, now, monotonic })
  const faultListeners = new Set<(fault: PolicyFault) => void>()

  let refused: readonly DataFault[] = []
  let folderNote: PolicyNote | undefined
  const onFault = (fault: PolicyFault): void => {
    if (fault.cause instanceof PolicyFilesError) refused = fault.cause.faults
    const fields = { reason: fault.message, revision: transition.current().revision }
    log.error(
      { event: 'policy_change_refused', ...fields },
      'what should be in force is not: the last good policy stays',
    )
    for (const listener of faultListeners) listener(fault)
  }
  const adopt = async (next: PolicyFolder): Promise<void> => {
    const current = transition.current()
    refuseIfFilesAreGone(folder, next)
    // Back at what is in force already, but for a block list that came alone meanwhile.
    if (next.files.revision === folder.files.revision) {
      await blocks.take(next.files.blocked)
      return
    }
    const prepared = await blocks
      .during(() => source.prepare(next.files, current))
      .catch((cause: unknown) => {
        // How long it has been behind is measured by the looks at what it has.
        if (cause instanceof OpaBehindError && watch.cause() === undefined) guard.recheck()
        throw cause
      })
    const changed = deltaOf(folder, next)
    await transition.move((inForce) => ({
      next: {
        ...prepared,
        files: withNewerBlocks(prepared.files, current, inForce),
        revision: prepared.revision ?? inForce.revision,
      },
      changed,
    }))
    folder = next
    logDataFaults(log, next)
    guard.recheck()
    await source.retire(current)
  }
  const watch = watchPolicyFolder({
    dir: policyDir,
    seen: folder.signature,
    adopt,
    // Only the sidecar can say what it has.
    onConfirmed: () => source.loaded === undefined && freshness.confirm(),
    onStuck: blocks.takeFromFolder,
    onFault(fault) {
      folderNote = { cause: 'folder', reason: `the policy folder is not in force: ${fault.message}` }
      onFault(fault)
    },
    onMended() {
      refused = []
      folderNote = undefined
      log.info({ event: 'policy_mended' }, 'the policy folder is in force again')
    },
    now,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  const probeable = createBlockProbe(monotonic)
  const selfCheck = () => {
    const inForce = transition.current()
    return createSelfCheck({ ...inForce, now, isProbeable: probeable(inForce.files.blocked) })()
  }
  const sidecar =
    source.loaded && createSidecarCheck({ ...options, loaded: source.loaded, transition, freshness, watch, onFault })
  const guard = createGuard({
    inForce: transition.current,
    check: sidecar === undefined ? selfCheck : () => sidecar.check(selfCheck),
    log,
    now,
    ...(metrics === undefined ? {} : { metrics }),
  })
  const blocked = () => transition.current().files.blocked
  const notes = () => [...(folderNote === undefined ? [] : [folderNote]), ...(sidecar?.notes() ?? [])]
  const decide: Decide = async (question, input, trace) => {
    if (staleness.action === 'deny' && freshness.isStale()) {
      throw new AppError('policy_not_ready', undefined, { cause: new Error(STALE) })
    }
    const { revision } = transition.current()
    const decision = await guard.decide(question, input, trace)
    if (decision.revision === undefined) return { ...decision, revision }
    await sidecar?.noteBundle(decision.revision)
    return decision
  }
  const stalenessTimer = setInterval(freshness.watch, STALENESS_LOOK_MS).unref()

  return {
    engine: source.engine,
    decide: withBrake({ blocked, revision: () => transition.current().revision }, decide),
    ready() {
      const readiness = guard.ready()
      const isTooOld = readiness.ok && staleness.action !== 'warn' && freshness.isStale()
      if (isTooOld) return { ok: false, reason: STALE }
      const reason = readiness.ok ? notesText(notes()) : undefined
      return reason === undefined ? readiness : { ok: true, reason }
    },
    revision: () => transition.current().revision,
    files: () => transition.current().files,
    blocked,
    notes,
    onChange: transition.onChange,
    onFault(listener) {
      faultListeners.add(listener)
      return () => faultListeners.delete(listener)
    },
    dataFaults: () => [...transition.current().files.dataFaults, ...refused],
    lastSuccessMs: freshness.lastSuccessMs,
    loadedAtMs: transition.sinceMs,
    isStale: freshness.isStale,
    async close() {
      clearInterval(stalenessTimer)
      watch.close()
      guard.stop()
      await Promise.all([source.close(), transition.current().engine.close()])
    },
  }
}

/** A block list that came while the set was made ready is newer than the set's. */
function withNewerBlocks(files: PolicyFiles, before: InForce, now: InForce): PolicyFiles {
  return now.files.blocked === before.files.blocked ? files : { ...files, blocked: now.files.blocked }
}

/** @throws {PolicyFilesError} when a file of the set in force is gone: absence is no order. */
function refuseIfFilesAreGone(before: PolicyFolder, next: PolicyFolder): void {
  const gone = [...before.hashes.keys()].filter((name) => !next.hashes.has(name))
  if (gone.length === 0) return
  const lines = gone.map((name) => {
    const wayOut = name.endsWith('.json') ? 'leave {} in it' : 'leave its package in it'
    return `${join(next.files.dir, name)}: it was there and is gone; put it back, ${wayOut}, or restart the controller`
  })
  throw new PolicyFilesError(lines.join('\n'))
}

function logDataFaults(log: PolicyLog, { files }: PolicyFolder): void {
  for (const fault of files.dataFaults) {
    log.warn({ event: 'policy_data_fault', ...fault }, 'entry of the policy data without effect')
  }
}
