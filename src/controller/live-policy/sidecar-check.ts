// Keeps the reported revision equal to what a sidecar has loaded. Its files or bundles change independently of us, so every
// self-check verifies them, and so does every decision that names a bundle's revision.
import { AppError } from '../../core/errors.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import type { Freshness } from './freshness.ts'
import type { InForce } from '../../policy/engine/engine-kind.ts'
import type { PolicyLog } from './guard.ts'
import type { LoadedByOpa } from '../../policy/engine/opa-loaded.ts'
import { NO_DELTA } from './policy-delta.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { NoteCause, PolicyNote } from './policy-notes.ts'
import type { PolicyFault, PolicyWatch } from './policy-watch.ts'
import type { SelfCheckFault } from '../../policy/engine/self-check.ts'
import { createSidecarLag } from './sidecar-lag.ts'
import type { Transition } from './transition.ts'

type SidecarCheckOptions = {
  readonly loaded: (files: PolicyFiles) => Promise<LoadedByOpa>
  /** OPA's policy has no entry point for batches: the last self-check found that out. */
  readonly lacksBatches: () => boolean
  readonly transition: Transition
  readonly freshness: Freshness
  readonly watch: Pick<PolicyWatch, 'poll' | 'isFaulty' | 'cause'>
  readonly onFault: (fault: PolicyFault) => void
  readonly timeoutMs: number
  /** What to do with decisions by a bundle that was replaced before: its signature is as valid as that of a new one. */
  readonly bundleRollback: 'refuse' | 'allow'
  readonly log: PolicyLog
  readonly now: () => number
  readonly monotonic: () => number
}

export type SidecarCheck = {
  /** Runs the self-check, and then verifies what is loaded. Never rejects. */
  readonly check: (selfCheck: () => Promise<SelfCheckFault | undefined>) => Promise<SelfCheckFault | undefined>
  /**
   * Call it when a decision names this revision: a change is recorded before the decision is used.
   * @throws {AppError} `audit_unavailable`, or `policy_not_ready` for a bundle that was replaced before
   */
  readonly noteBundle: (revision: string) => Promise<void>
  /** Problems found by the last check that do not prevent decisions. */
  readonly notes: () => readonly PolicyNote[]
}

// An answer that was in flight during a swap still names the previous revision.
const LATE_MS = 1000
const MAX_BUNDLES = 1000

export function createSidecarCheck(options: SidecarCheckOptions): SidecarCheck {
  const { loaded, transition, freshness, watch } = options
  const { tell, notes } = createTeller(options)
  const unverified = createUnverified(options.log)
  const lag = createSidecarLag(options.monotonic)
  const batches = createBatchNotice(options.log)
  const bundles = createBundleNames(options)

  return {
    async check(selfCheck) {
      const fault = await checkedByNewestFiles(selfCheck, watch)
      batches.note(options.lacksBatches())
      // A change that cannot be recorded is tried again at the next check, and does not count until then.
      if (fault !== undefined) return fault
      bundles.forgetRollback()
      await look().catch((cause: unknown) => {
        if (bundles.rollback() !== undefined) tell('opa_bundle', messageOf(cause))
        else tell('opa_files', `not recorded: ${String(cause)}`)
      })
      return bundles.rollback() ?? lag.fault()
    },
    noteBundle: bundles.note,
    notes: () => [...notes(), ...unverified.notes()],
  }

  async function look(): Promise<void> {
    let asked = transition.current().files
    let seen = await loaded(asked)
    if (seen.kind === 'files' && !seen.isOurs) {
      // The folder may have changed since our last check, and OPA was faster.
      await watch.poll()
      asked = transition.current().files
      seen = await loaded(asked)
    }
    lag.note(seen, watch.cause())
    unverified.note(seen.kind === 'unknown' ? seen.reason : undefined)
    switch (seen.kind) {
      case 'bundle':
        await bundles.note(seen.revision)
        freshness.confirm(seen.polledAtMs)
        tell('opa_bundle', seen.fault && `OPA has not activated its bundle: ${seen.fault}`)
        return
      case 'files':
        bundles.none()
        return noteFiles(seen, asked)
      case 'unknown':
        // It decides and passes the self-check, but we cannot see whether it uses our files.
        if (!watch.isFaulty()) freshness.confirm()
    }
  }

  async function noteFiles(seen: Extract<LoadedByOpa, { kind: 'files' }>, asked: PolicyFiles): Promise<void> {
    // If other files came into force while OPA answered about these, the next check handles those.
    const named = (name: string) => (current: InForce) => (current.files === asked ? name : current.revision)
    if (!seen.isOurs) {
      await rename(transition, named(`opa-${seen.name}`))
      tell('opa_files', `OPA has different ${seen.difference ?? 'files'} than the policy folder`)
      return
    }
    await rename(transition, named(asked.revision))
    // OPA has our last good files; the disk may have newer ones that neither of us could use.
    if (!watch.isFaulty()) freshness.confirm()
    tell('opa_files', undefined)
  }
}

async function checkedByNewestFiles(
  selfCheck: () => Promise<SelfCheckFault | undefined>,
  watch: Pick<PolicyWatch, 'poll'>,
): Promise<SelfCheckFault | undefined> {
  const fault = await selfCheck()
  if (fault?.code !== 'policy_not_ready') return fault
  // The questions come from our files: with newer files the answer may be correct.
  await watch.poll()
  return selfCheck()
}

function rename(transition: Transition, nameOf: (current: InForce) => string, isFirst = false): Promise<void> {
  return transition.move((current) => {
    const revision = nameOf(current)
    if (current.revision === revision) return undefined
    return { next: { ...current, revision }, changed: NO_DELTA }
  }, isFirst)
}

type BundleNames = {
  readonly note: SidecarCheck['noteBundle']
  /** OPA has files and no bundle. */
  readonly none: () => void
  /** The fault while OPA uses a bundle that was replaced before. */
  readonly rollback: () => SelfCheckFault | undefined
  readonly forgetRollback: () => void
}

/** Tracks OPA's current bundle, the previous one, and all that it has had. */
function createBundleNames(options: SidecarCheckOptions): BundleNames {
  const { transition, timeoutMs, now, bundleRollback } = options
  const known = new Set<string>()
  let bundle: string | undefined
  let before: string | undefined
  let isRolledBack = false
  return {
    async note(revision) {
      if (revision === bundle && revision === transition.current().revision) return
      if (revision === before && now() - transition.sinceMs() < timeoutMs + LATE_MS) return
      isRolledBack = bundleRollback === 'refuse' && revision !== bundle && known.has(revision)
      if (isRolledBack) throw new AppError('policy_not_ready', undefined, { cause: new Error(rollbackOf(revision)) })
      await rename(transition, () => revision, bundle === undefined)
      if (known.size < MAX_BUNDLES) known.add(revision)
      if (revision === bundle) return
      before = bundle
      bundle = revision
    },
    none: () => (bundle = undefined),
    rollback: () => (isRolledBack ? { code: 'policy_not_ready', reason: ROLLED_BACK } : undefined),
    forgetRollback: () => (isRolledBack = false),
  }
}

/** Reports why OPA's policy cannot be verified: one line in the log, and a note while it lasts. */
function createUnverified(log: PolicyLog) {
  const unverified = createReportedFault()
  return {
    note(reason: string | undefined): void {
      if (reason === undefined) unverified.end()
      else if (unverified.isNews(reason)) {
        log.warn({ event: 'policy_unverified', reason }, 'OPA does not report which policy it has loaded')
      }
    },
    notes: () => silenceOf(unverified.current()),
  }
}

/** Says once in the log when OPA cannot be asked in batches, and once when it can again. */
function createBatchNotice(log: PolicyLog) {
  const lacking = createReportedFault()
  return {
    note(lacksBatches: boolean): void {
      if (lacksBatches && lacking.isNews(NO_BATCHES)) {
        log.warn({ event: 'policy_batches_missing', reason: NO_BATCHES }, 'OPA is asked about each call alone')
      }
      if (!lacksBatches && lacking.end()) log.info({ event: 'policy_batches_found' }, 'OPA is asked in batches again')
    },
  }
}

function silenceOf(reason: string | undefined): PolicyNote[] {
  return reason === undefined
    ? []
    : [{ cause: 'opa_silent', reason: `OPA does not report which policy it has loaded: ${reason}` }]
}

const NO_BATCHES =
  'OPA does not answer data.crank.batch.decisions: load batch.rego and system_authz.rego of this version'
const ROLLED_BACK = 'OPA has returned to a bundle that was replaced before'

function rollbackOf(revision: string): string {
  const wayOut = 'publish it under a new revision, or set CRANK_POLICY_BUNDLE_ROLLBACK=allow'
  return `OPA has returned to the bundle ${revision}, which was replaced before: ${wayOut}`
}

/** The message of an error's cause. */
function messageOf(trouble: unknown): string {
  const { cause } = trouble as Error
  return cause instanceof Error ? cause.message : String(trouble)
}

type Teller = {
  readonly tell: (cause: NoteCause, fault: string | undefined) => void
  readonly notes: () => readonly PolicyNote[]
}

function createTeller({ onFault, now }: SidecarCheckOptions): Teller {
  const reported = createReportedFault()
  let note: PolicyNote | undefined
  return {
    tell(cause, reason) {
      note = reason === undefined ? undefined : { cause, reason }
      if (reason === undefined) reported.end()
      else if (reported.isNews(reason)) onFault({ message: reason, sinceMs: now() })
    },
    notes: () => (note === undefined ? [] : [note]),
  }
}
