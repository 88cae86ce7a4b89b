// Sums up the audit logs: who called what, and what the policy decided.
import type { ChainedRecord } from '../../audit/chain.ts'
import { callIn, exceptionIn, groundsIn, reasonsIn, rulingIn } from '../../audit/record-members.ts'
import type { Capability } from '../../core/capability.ts'
import { passes, type Ruling } from '../../core/ruling.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { AuditChain } from '../../audit/places.ts'
import { readAudits } from '../../audit/reader.ts'

/** The calls of one capability by one caller. Times are ISO 8601 as in the log. */
export type PairTally = {
  calls: number
  readonly decisions: Record<Ruling, number>
  /** Reason codes of the would-be denials; one denial may have several. */
  readonly reasons: Map<string, number>
  /** Exceptions without which the call would not have been allowed. */
  readonly exceptions: Map<string, number>
  /** Calendar days (UTC) with a call. */
  readonly days: Set<string>
  lastAt: string
  /** Time of the last call that passed; '' for none: a refused call is not a use. */
  lastPassedAt: string
}

/** By capability, then by caller. `firstAt`, `lastAt`: over all counted calls. */
export type Tally = {
  readonly pairs: ReadonlyMap<Capability, ReadonlyMap<SpiffeId, PairTally>>
  readonly calls: number
  readonly firstAt: string | undefined
  readonly lastAt: string | undefined
}

/** Sums up the decisions on calls since `sinceMs`. Rejects with the file system's error when a log cannot be read. */
export async function tallyCalls(chains: readonly AuditChain[], sinceMs: number): Promise<Tally> {
  const pairs: Pairs = new Map()
  let calls = 0
  let firstAt: string | undefined
  let lastAt: string | undefined
  for await (const { record } of readAudits(chains, { since: sinceMs })) {
    const found = pairOf(pairs, record)
    if (found === undefined) continue
    count(found, record)
    calls += 1
    firstAt ??= record.timestamp
    lastAt = record.timestamp
  }
  return { pairs, calls, firstAt, lastAt }
}

type Pairs = Map<Capability, Map<SpiffeId, PairTally>>

/** Undefined for a record that is not a decision on a call, or has an unknown form. */
function pairOf(pairs: Pairs, record: ChainedRecord): PairTally | undefined {
  const call = callIn(record)
  if (call === undefined) return undefined
  const callers = pairs.get(call.capability) ?? new Map<SpiffeId, PairTally>()
  pairs.set(call.capability, callers)
  const pair = callers.get(call.spiffeId) ?? emptyPair()
  callers.set(call.spiffeId, pair)
  return pair
}

function emptyPair(): PairTally {
  const decisions = { allow: 0, deny: 0, would_deny: 0, error: 0, unevaluated: 0 }
  return {
    calls: 0,
    decisions,
    reasons: new Map(),
    exceptions: new Map(),
    days: new Set(),
    lastAt: '',
    lastPassedAt: '',
  }
}

function count(pair: PairTally, record: ChainedRecord): void {
  const { timestamp } = record
  const ruling = rulingIn(record)
  pair.calls += 1
  pair.days.add(timestamp.slice(0, 'yyyy-mm-dd'.length))
  pair.lastAt = timestamp
  if (ruling !== undefined) pair.decisions[ruling] += 1
  if (ruling !== undefined && passes(ruling)) pair.lastPassedAt = timestamp
  if (ruling === 'would_deny') for (const { code } of reasonsIn(record)) increment(pair.reasons, code)
  const [exception, grounds] = [exceptionIn(record), groundsIn(record)]
  const isByException = grounds.includes('exception') && !grounds.includes('declared')
  if (isByException && exception !== null) increment(pair.exceptions, exception)
}

/** Adds `by` to the count of `key`. */
export function increment(counts: Map<string, number>, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}
