// On the path of every call, with CRANK_DECISION_CACHE=on. Repeats a decision to the same question while the policy that made
// it says that it holds (valid_until_ns), and nothing has happened since that could change it (decision 0061). Everything
// here is synchronous: a repeated decision costs no turn.
import type { Decision, PolicyInput } from '../core/decision.ts'

/** Why a question was not answered from the cache, and its answer not kept. */
export const BYPASSES = [
  /** The block list refuses it, the self-check fails, the policy is too old, a sidecar has just named another revision. */
  'blocked',
  'not_ready',
  'stale',
  'revision',
  /** No decision; one that says nothing of its validity; one in shadow mode; a very long one. */
  'fault',
  'not_cacheable',
  'shadow',
  'too_large',
  /** The policy changed, was checked or failed while the question was asked. */
  'changed',
] as const
type Bypass = (typeof BYPASSES)[number]

/** Takes the answer to a question that was not in the cache; undefined if there was none. Call it once. */
export type Keep = (decision: Decision | undefined) => void

export type CacheCounts = {
  readonly hit: number
  readonly miss: number
  readonly bypass: Readonly<Record<Bypass, number>>
  readonly entries: number
}

export type DecisionCache = {
  /** A decision about this call that holds now, with `repeats`; or what takes the engine's; undefined: ask, keep nothing. */
  readonly look: (input: PolicyInput) => Decision | Keep | undefined
  /** Drops every decision, and those that are being asked for. */
  readonly clear: () => void
  /** A decision named this revision: if it is not the one in force, nothing is repeated or kept for a second. */
  readonly noteRevision: (revision: string) => void
  readonly counts: () => CacheCounts
}

type DecisionCacheOptions = {
  /** What decides; another object after every change, of the block list too. */
  readonly inForce: () => { readonly revision: string }
  /** Why nothing may be repeated now; undefined: it may. Asked before each hit. */
  readonly obstacle: (input: PolicyInput) => 'blocked' | 'not_ready' | 'stale' | undefined
  /** How old a decision may be; Infinity for an engine that cannot change without us. */
  readonly maxAgeMs: number
  /** Monotonic ms. */
  readonly monotonic: () => number
  readonly maxEntries?: number
}

type Entry = {
  /** As it is given out: with `repeats`. */
  readonly decision: Decision
  readonly fromNs: bigint
  readonly untilNs: bigint
  readonly askedMs: number
}

const MAX_ENTRIES = 16_384
const MAX_REASON_CHARS = 1024
const PAUSE_MS = 1000

export function createDecisionCache(options: DecisionCacheOptions): DecisionCache {
  const { inForce, obstacle, maxAgeMs, monotonic, maxEntries = MAX_ENTRIES } = options
  const entries = new Map<string, Entry>()
  let owner = inForce()
  // Another object after each time that everything was dropped.
  let era = {}
  let pausedUntilMs = -Infinity
  const counts = { hit: 0, miss: 0, bypass: noBypasses() }

  const clear = (): void => {
    entries.clear()
    era = {}
  }
  /** Drops what belonged to the policy before. */
  const follow = (): void => {
    const current = inForce()
    if (current !== owner) clear()
    owner = current
  }
  const keeper = (key: string, { context }: PolicyInput): Keep => {
    const askedIn = era
    const askedMs = monotonic()
    return (decision) => {
      follow()
      const isOfNow = askedIn === era
      const kept = isOfNow ? repeatable(decision, owner.revision) : decision === undefined ? 'fault' : 'changed'
      if (typeof kept === 'string') {
        counts.bypass[kept] += 1
        return
      }
      counts.miss += 1
      if (entries.size >= maxEntries) dropOldest(entries)
      const { decision_id: repeats, now_ns: fromNs } = context
      entries.set(key, { decision: { ...kept, repeats }, fromNs: BigInt(fromNs), untilNs: kept.validUntilNs, askedMs })
    }
  }
  return {
    look(input) {
      follow()
      const why = monotonic() < pausedUntilMs ? 'revision' : obstacle(input)
      if (why !== undefined) {
        counts.bypass[why] += 1
        return undefined
      }
      const key = keyOf(input)
      const entry = entries.get(key)
      if (entry === undefined) return keeper(key, input)
      if (monotonic() - entry.askedMs <= maxAgeMs && holds(entry, BigInt(input.context.now_ns))) {
        counts.hit += 1
        return entry.decision
      }
      entries.delete(key)
      return keeper(key, input)
    },
    clear,
    noteRevision(revision) {
      if (revision === inForce().revision) return
      pausedUntilMs = monotonic() + PAUSE_MS
      clear()
    },
    counts: () => ({ ...counts, entries: entries.size }),
  }
}

function noBypasses(): Record<Bypass, number> {
  return Object.fromEntries(BYPASSES.map((why) => [why, 0])) as Record<Bypass, number>
}

/** A decision that may be repeated while the policy of this revision is in force, or why it may not. */
function repeatable(
  decision: Decision | undefined,
  revision: string,
): (Decision & { readonly validUntilNs: bigint }) | Bypass {
  if (decision === undefined) return 'fault'
  const { validUntilNs, policyVersion, mode } = decision
  // A decision of the controller's own block list has no policy version.
  if (policyVersion === null || validUntilNs === undefined) return 'not_cacheable'
  if (mode !== 'enforce') return 'shadow'
  if (decision.revision !== undefined && decision.revision !== revision) return 'revision'
  return isLarge(decision) ? 'too_large' : { ...decision, validUntilNs }
}

/** A clock that was set back asks about a time at which nobody has decided. */
function holds({ fromNs, untilNs }: Entry, nowNs: bigint): boolean {
  return nowNs >= fromNs && nowNs < untilNs
}

/** The whole input but for the instant and the id. What a later version adds to the input is in the key as well. */
function keyOf({ context, ...rest }: PolicyInput): string {
  const { timestamp: _timestamp, now_ns: _nowNs, decision_id: _decisionId, ...lasting } = context
  return JSON.stringify([rest, lasting])
}

function isLarge({ reasons, exception }: Decision): boolean {
  const chars = reasons.reduce((sum, { message }) => sum + message.length, exception?.length ?? 0)
  return chars > MAX_REASON_CHARS
}

function dropOldest(entries: Map<string, Entry>): void {
  for (const key of entries.keys()) {
    entries.delete(key)
    return
  }
}
