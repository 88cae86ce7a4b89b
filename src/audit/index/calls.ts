// The records that belong together by a decision id: those of a call are in one chain, its outcome up to hours after its decision.
import { passes } from '../../core/ruling.ts'
import type { ChainedRecord } from '../chain.ts'
import type { AuditRecord } from '../reader.ts'
import { rulingIn } from '../record-members.ts'
import type { OpenChain } from './open-chain.ts'

/** Longer than any call, and than a clock is usually wrong. */
const LONGEST_CALL_MS = 25 * 3_600_000
const UUID_V7 = /^([\da-f]{8})-([\da-f]{4})-7/
/** How far the segment may be from where the time of the id points. */
const NEAR = 2

/** The records of a decision, oldest first; none when no chain has them. Reads the likely segments of all chains first. */
export async function recordsOfDecision(chains: readonly OpenChain[], id: string): Promise<AuditRecord[]> {
  const orders = await Promise.all(chains.map((chain) => byLikelihood(chain, timeIn(id))))
  for (const isNear of [true, false]) {
    for (const [index, chain] of chains.entries()) {
      const order = orders[index] ?? []
      const found = await firstWith(chain, isNear ? order.slice(0, NEAR) : order.slice(NEAR), id)
      if (found !== undefined) return inOrder([...found.records, ...(await others(chain, found.at, found.records, id))])
    }
  }
  return []
}

/** The other records of the call of `own`, which is in segment `at`. */
export async function companions(chain: OpenChain, at: number, own: AuditRecord): Promise<AuditRecord[]> {
  const { decision_id: id } = own.record
  if (typeof id !== 'string') return []
  const here = await chain.withId(at, 'decision_id', id)
  const rest = await others(chain, at, here.length === 0 ? [own] : here, id)
  return [...here, ...rest].filter(({ record }) => record.seq !== own.record.seq)
}

export function isOutcome({ event }: ChainedRecord): boolean {
  return event === 'route_outcome'
}

export function inOrder(records: readonly AuditRecord[]): AuditRecord[] {
  return records.toSorted((a, b) => a.record.seq - b.record.seq)
}

async function firstWith(
  chain: OpenChain,
  order: readonly number[],
  id: string,
): Promise<{ at: number; records: AuditRecord[] } | undefined> {
  for (const at of order) {
    const records = await chain.withId(at, 'decision_id', id)
    if (records.length > 0) return { at, records }
  }
  return undefined
}

/** The outcome behind a decision, or the decision before an outcome. */
async function others(chain: OpenChain, at: number, known: readonly AuditRecord[], id: string): Promise<AuditRecord[]> {
  const hasOutcome = known.some(({ record }) => isOutcome(record))
  const decision = known.find(({ record }) => !isOutcome(record))?.record
  if (decision === undefined) return hasOutcome ? walk(chain, at, -1, { known, id }) : []
  return hasOutcome || !awaitsOutcome(decision) ? [] : walk(chain, at, 1, { known, id })
}

async function walk(
  chain: OpenChain,
  from: number,
  step: 1 | -1,
  { known, id }: { known: readonly AuditRecord[]; id: string },
): Promise<AuditRecord[]> {
  const time = Date.parse(known[0]?.record.timestamp ?? '')
  for (let at = from + step; at >= 0 && at < chain.length; at += step) {
    const { min, max } = await chain.times(at)
    if (step === 1 ? min > time + LONGEST_CALL_MS : max < time - LONGEST_CALL_MS) continue
    const found = await chain.withId(at, 'decision_id', id)
    if (found.length > 0) return found
  }
  return []
}

function awaitsOutcome(record: ChainedRecord): boolean {
  const ruling = record.event === 'policy_decision' ? rulingIn(record) : undefined
  return ruling !== undefined && passes(ruling) && (record['retry_of'] ?? null) === null
}

/** All segments, those first that were written at that time; without a time, the newest first. */
async function byLikelihood(chain: OpenChain, time: number | undefined): Promise<number[]> {
  const all = Array.from({ length: chain.length }, (_, at) => at)
  if (time === undefined) return all.reverse()
  const guess = await firstThatReaches(chain, time)
  return all.sort((a, b) => Math.abs(a - guess) - Math.abs(b - guess))
}

/** The first segment with a record of `time` or later, where the clock was never set. */
async function firstThatReaches(chain: OpenChain, time: number): Promise<number> {
  let [low, high] = [0, chain.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((await chain.times(middle)).max < time) low = middle + 1
    else high = middle
  }
  return low
}

/** When a UUIDv7 was made, in Unix ms. */
function timeIn(id: string): number | undefined {
  const [, high = '', low = ''] = UUID_V7.exec(id) ?? []
  return high === '' ? undefined : Number.parseInt(high + low, 16)
}
