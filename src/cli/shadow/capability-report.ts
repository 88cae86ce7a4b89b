// The report on one capability, from the log and the manifests.
import { modeOf } from '../../policy/data/enforcement.ts'
import type { Capability } from '../../core/capability.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { Manifest } from '../../policy/data/manifests.ts'
import { isDeniedNow, type Evidence } from './sources.ts'
import { increment, type PairTally } from './tally.ts'
import { readinessOf, type Readiness, type Thresholds } from './verdict.ts'

/** As in `-o json`. `mode`: over all callers that are declared or were seen. */
export type CapabilityReport = {
  readonly capability: string
  readonly mode: 'enforce' | 'shadow' | 'mixed'
  readonly verdict: Readiness
  readonly why: string
  readonly calls: number
  readonly days: number
  readonly callers: readonly { readonly spiffe_id: string; readonly calls: number; readonly last_at: string }[]
  readonly denied: number
  readonly unevaluated: number
  readonly errors: number
  readonly would_denials: {
    readonly total: number
    /** Also denied by the policy of the folder; the others have been fixed since. */
    readonly standing: number
    readonly by_reason: Readonly<Record<string, number>>
    readonly by_caller: readonly WouldDenied[]
  }
  readonly exceptions: Readonly<Record<string, number>>
  /** Workers that declare it, do not provide it, and have not called it. */
  readonly callers_never_seen: readonly string[]
}
type WouldDenied = {
  readonly spiffe_id: string
  readonly denials: number
  readonly stands: boolean
  readonly reasons: readonly string[]
}

type ReportOn = {
  readonly capability: Capability
  readonly pairs: ReadonlyMap<SpiffeId, PairTally>
  readonly manifests: readonly Manifest[]
  readonly evidence: Evidence
  readonly thresholds: Thresholds
  readonly nowMs: number
}

export async function reportOn(of: ReportOn): Promise<CapabilityReport> {
  const { capability, pairs, manifests } = of
  const wouldDenied = await wouldDeniedOf(of)
  const tallies = [...pairs.values()]
  const sum = (pick: (pair: PairTally) => number): number => tallies.reduce((total, pair) => total + pick(pair), 0)
  const standing = wouldDenied.filter(({ stands }) => stands).reduce((total, { denials }) => total + denials, 0)
  const days = new Set(tallies.flatMap((pair) => [...pair.days])).size
  const decided = sum(({ decisions }) => decisions.allow + decisions.deny + decisions.would_deny)
  const mode = modeOverCallers(of)
  return {
    capability,
    mode,
    ...readinessOf({ isEnforced: mode === 'enforce', standing, decided, days }, of.thresholds),
    calls: sum(({ calls }) => calls),
    days,
    callers: [...pairs].map(([spiffe_id, { calls, lastAt }]) => ({ spiffe_id, calls, last_at: lastAt })),
    denied: sum(({ decisions }) => decisions.deny),
    unevaluated: sum(({ decisions }) => decisions.unevaluated),
    errors: sum(({ decisions }) => decisions.error),
    would_denials: {
      total: sum(({ decisions }) => decisions.would_deny),
      standing,
      by_reason: merged(tallies.map(({ reasons }) => reasons)),
      by_caller: wouldDenied,
    },
    exceptions: merged(tallies.map(({ exceptions }) => exceptions)),
    callers_never_seen: manifests
      .filter(({ spiffeId, required, provided }) => {
        return required.includes(capability) && !provided.includes(capability) && !pairs.has(spiffeId)
      })
      .map(({ spiffeId }) => spiffeId),
  }
}

async function wouldDeniedOf({ capability, pairs, evidence, nowMs }: ReportOn): Promise<WouldDenied[]> {
  const denied = [...pairs].filter(([, { decisions }]) => decisions.would_deny > 0)
  return Promise.all(
    denied.map(async ([spiffe_id, { decisions, reasons }]) => ({
      spiffe_id,
      denials: decisions.would_deny,
      stands: await isDeniedNow(evidence, spiffe_id, capability, nowMs),
      reasons: [...reasons.keys()].sort(),
    })),
  )
}

function modeOverCallers({ capability, pairs, manifests, evidence }: ReportOn): CapabilityReport['mode'] {
  const { enforcement, stranger } = evidence.policy.files
  const declared = manifests.filter(({ required }) => required.includes(capability)).map(({ spiffeId }) => spiffeId)
  const callers = new Set([...declared, ...pairs.keys()])
  if (callers.size === 0) callers.add(stranger.spiffeId)
  const [mode = 'enforce', ...others] = new Set([...callers].map((caller) => modeOf(enforcement, caller, capability)))
  return others.length > 0 ? 'mixed' : mode
}

function merged(all: readonly ReadonlyMap<string, number>[]): Record<string, number> {
  const sums = new Map<string, number>()
  for (const counts of all) for (const [key, count] of counts) increment(sums, key, count)
  return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)))
}
