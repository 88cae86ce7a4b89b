// Keeps the revision that is reported at what a sidecar really has. Its files or bundles change without asking us, so
// every self-check looks, and every decision that names a bundle's revision counts.
import { AppError } from '../../core/errors.ts'
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

export type SidecarCheckOptions = {
  readonly loaded: (files: PolicyFiles) => Promise<LoadedByOpa>
  readonly transition: Transition
  readonly freshness: Freshness
  readonly watch: Pick<PolicyWatch, 'poll' | 'isFaulty' | 'cause'>
  readonly onFault: (fault: PolicyFault) => void
  readonly timeoutMs: number
  /** What becomes of decisions by a bundle that was replaced before: it is signed as well as a new one. */
  readonly bundleRollback: 'refuse' | 'allow'
  readonly log: PolicyLog
  readonly now: () => number
  readonly monotonic: () => number
}

export type SidecarCheck = {
  /** The self-check, and then a look at what is loaded. Never rejects. */
  readonly check: (selfCheck: () => Promise<SelfCheckFault | undefined>) => Promise<SelfCheckFault | undefined>
  /**
   * A decision named this revision: recorded before the decision is given out.
   * @throws {AppError} `audit_unavailable`, or `policy_not_ready` for a bundle that was replaced before
   */
  readonly noteBundle: (revision: string) => Promise<void>
  /** What the last look found that does not keep it from deciding. */
  readonly notes: () => readonly PolicyNote[]
}

// An answer that was on its way during a swap names the revision before it.
const LATE_MS = 1000
const MAX_BUNDLES = 1000

export function createSidecarCheck(options: SidecarCheckOptions): SidecarCheck {
  const { loaded, transition, freshness, watch, timeoutMs, log, now } = options
  const files = (): PolicyFiles => transition.current().files
  const teller = createTeller(options)
  const { tell } = teller
  const lag = createSidecarLag(options.monotonic)
  let bundle: string | undefined
  let before: string | undefined

  const rename = (nameOf: (current: InForce) => string, isFirst = false): Promise<void> =>
    transition.move((current) => {
      const revision = nameOf(current)
      if (current.revision === revision) return undefined
      return { next: { ...current, revision }, changed: NO_DELTA }
    }, isFirst)

  const bundles = new Set<string>()
  let isRolledBack = false
  const rollback = (): SelfCheckFault | undefined =>
    isRolledBack ? { code: 'policy_not_ready', reason: ROLLED_BACK } : undefined
  const noteBundle = async (revision: string): Promise<void> => {
    if (revision === bundle && revision === transition.current().revision) return
    if (revision === before && now() - transition.sinceMs() < timeoutMs + LATE_MS) return
    isRolledBack = options.bundleRollback === 'refuse' && revision !== bundle && bundles.has(revision)
    if (isRolledBack) throw new AppError('policy_not_ready', undefined, { cause: new Error(rollbackOf(revision)) })
    await rename(() => revision, bundle === undefined)
    if (bundles.size < MAX_BUNDLES) bundles.add(revision)
    if (revision === bundle) return
    before = bundle
    bundle = revision
  }

  let unverified: string | undefined
  const sayUnverified = (reason: string | undefined): void => {
    if (reason !== undefined && reason !== unverified) {
      log.warn({ event: 'policy_unverified', reason }, 'OPA does not say which policy it has')
    }
    unverified = reason
  }

  const look = async (): Promise<void> => {
    let asked = files()
    let seen = await loaded(asked)
    if (seen.kind === 'files' && !seen.isOurs) {
      // The folder may have changed since our last look at it, and OPA was faster.
      await watch.poll()
      asked = files()
      seen = await loaded(asked)
    }
    lag.note(seen, watch.cause())
    sayUnverified(seen.kind === 'unknown' ? seen.reason : undefined)
    // Another set came into force, or is about to, while OPA answered about this one: the next look is about that.
    const named = (name: string) => (current: InForce) => (current.files === asked ? name : current.revision)
    switch (seen.kind) {
      case 'bundle':
        await noteBundle(seen.revision)
        freshness.confirm(seen.polledAtMs)
        tell('opa_bundle', seen.fault && `OPA has not taken over its bundle: ${seen.fault}`)
        return
      case 'files':
        bundle = undefined
        if (!seen.isOurs) {
          await rename(named(`opa-${seen.name}`))
          tell('opa_files', `OPA has other ${seen.difference ?? 'files'} than the policy folder`)
          return
        }
        await rename(named(asked.revision))
        // It has our last good set; on disk there may be one that neither of us could take.
        if (!watch.isFaulty()) freshness.confirm()
        tell('opa_files', undefined)
        return
      case 'unknown':
        // It decides and passes the self-check; whether with our files cannot be seen.
        if (!watch.isFaulty()) freshness.confirm()
    }
  }

  return {
    async check(selfCheck) {
      let fault = await selfCheck()
      if (fault?.code === 'policy_not_ready') {
        // The questions are made of our files: with newer ones the answer may be the right one.
        await watch.poll()
        fault = await selfCheck()
      }
      // What cannot be recorded is tried again with the next check, and until then it does not count.
      if (fault !== undefined) return fault
      isRolledBack = false
      await look().catch((cause: unknown) => {
        if (rollback() !== undefined) tell('opa_bundle', messageOf(cause))
        else tell('opa_files', `not recorded: ${String(cause)}`)
      })
      return rollback() ?? lag.fault()
    },
    noteBundle,
    notes: () => [
      ...teller.notes(),
      ...(unverified === undefined
        ? []
        : [{ cause: 'opa_silent' as const, reason: `OPA does not say which policy it has: ${unverified}` }]),
    ],
  }
}

const ROLLED_BACK = 'OPA has gone back to a bundle that was replaced before'

function rollbackOf(revision: string): string {
  const wayOut = 'offer it under a new revision, or set CRANK_POLICY_BUNDLE_ROLLBACK=allow'
  return `OPA has gone back to the bundle ${revision}, which was replaced before: ${wayOut}`
}

/** Of trouble: what is behind its code. */
function messageOf(trouble: unknown): string {
  const { cause } = trouble as Error
  return cause instanceof Error ? cause.message : String(trouble)
}

type Teller = {
  readonly tell: (cause: NoteCause, fault: string | undefined) => void
  readonly notes: () => readonly PolicyNote[]
}

/** Tells a fault once, and again only after it was gone. */
function createTeller({ onFault, now }: SidecarCheckOptions): Teller {
  let told: PolicyNote | undefined
  return {
    tell(cause, reason) {
      if (reason !== undefined && reason !== told?.reason) onFault({ message: reason, sinceMs: now() })
      told = reason === undefined ? undefined : { cause, reason }
    },
    notes: () => (told === undefined ? [] : [told]),
  }
}
