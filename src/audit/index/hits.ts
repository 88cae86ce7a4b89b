// The calls and other events of one chain that a query means, from one end to the other.
import type { ChainedRecord } from '../chain.ts'
import type { AuditRecord } from '../reader.ts'
import { companions, inOrder, isOutcome } from './calls.ts'
import { isOfSqlite, type Progress } from './index-file.ts'
import type { OpenChain } from './open-chain.ts'
import type { Order, Place } from './segment-index.ts'
import type { Times } from './segment-times.ts'
import { fits, isInTime, type AuditQuery } from './traits.ts'

/** A line: the segment's first record, and where in the segment the line begins. */
export type Position = { readonly firstSeq: number; readonly at: number }

/** `record`: the one by which it was found. `records`: all of the call. */
export type AuditHit = {
  readonly slot: number | null
  readonly position: Position
  readonly record: ChainedRecord
  readonly records: readonly AuditRecord[]
}

type Walk = { readonly order: Order; readonly after: Position | undefined }

const FIRST_BATCH = 64
const LAST_BATCH = 4096
const ALWAYS: Times = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY }

export async function* hitsIn(chain: OpenChain, query: AuditQuery, walk: Walk): AsyncGenerator<AuditHit, void> {
  for (const at of await segmentsFor(chain, query, walk)) {
    const from = walk.after?.firstSeq === chain.chain.segments[at]?.firstSeq ? walk.after?.at : undefined
    yield* hitsInSegment(chain, at, { query, order: walk.order, from })
    await chain.leave(at)
  }
}

/** The segments beyond the cursor, in order. With a time, only those that may have it. */
async function segmentsFor(chain: OpenChain, { since, until }: AuditQuery, { order, after }: Walk): Promise<number[]> {
  const isNewest = order === 'newest'
  const all = chain.chain.segments.map(({ firstSeq }, at) => ({ firstSeq, at })).reverse()
  const beyond = all.filter(
    ({ firstSeq }) => after === undefined || (isNewest ? firstSeq <= after.firstSeq : firstSeq >= after.firstSeq),
  )
  const found: number[] = []
  for (const { at } of beyond) {
    const { min, max } = since === undefined && until === undefined ? ALWAYS : await chain.times(at)
    const isOver = (since !== undefined && max < since) || (until !== undefined && min >= until)
    // The newest one grows.
    if (!isOver || at === chain.length - 1) found.push(at)
  }
  return isNewest ? found : found.reverse()
}

type Ask = { readonly query: AuditQuery; readonly order: Order; readonly from: number | undefined }

async function* hitsInSegment(
  chain: OpenChain,
  at: number,
  { query, order, from: start }: Ask,
): AsyncGenerator<AuditHit, void> {
  let [from, limit, isDone] = [start, FIRST_BATCH, false]
  while (!isDone) {
    const places = await nextPlaces(chain, at, { query, order, from, limit })
    isDone = places.length < limit
    limit = Math.min(limit * 4, LAST_BATCH)
    for (const place of places) {
      const hit = await toHit(chain, at, place, query)
      if (hit === 'wrong' && (await chain.makeAgain(at))) {
        isDone = false
        break
      }
      from = place.at
      if (typeof hit === 'object') yield hit
    }
  }
}

async function nextPlaces(chain: OpenChain, at: number, ask: Ask & { readonly limit: number }): Promise<Place[]> {
  const segment = await chain.segment(at)
  if (segment === undefined || !overlaps(segment.index.progress, ask.query)) return []
  try {
    const matching = segment.index.matching(ask.query)
    return matching.records === 0 ? [] : segment.index.places(matching, ask)
  } catch (cause: unknown) {
    if (!isOfSqlite(cause) || !(await chain.makeAgain(at))) throw cause
    return nextPlaces(chain, at, ask)
  }
}

/** `wrong`: the index has a line there that the query does not mean. */
async function toHit(
  chain: OpenChain,
  at: number,
  place: Place,
  query: AuditQuery,
): Promise<AuditHit | 'wrong' | undefined> {
  const own = await chain.recordAt(at, place.at)
  if (own === 'damaged') return undefined
  if (own === undefined) return 'wrong'
  const { record } = own
  const others = await companions(chain, at, own)
  const records = inOrder([own, ...others])
  // Where its decision alone fits, the call is found by that.
  const isFound = isOutcome(record)
    ? fits(query, membersOf(records)) && (others.length === 0 || !fits(query, membersOf(others)))
    : fits(query, [record])
  if (!isFound || !isInTime(query, Date.parse(record.timestamp))) return place.isSure ? 'wrong' : undefined
  const firstSeq = chain.chain.segments[at]?.firstSeq ?? 0
  return { slot: chain.chain.slot, position: { firstSeq, at: place.at }, record, records }
}

function membersOf(records: readonly AuditRecord[]): ChainedRecord[] {
  return records.map(({ record }) => record)
}

function overlaps({ records, minTime, maxTime }: Progress, { since, until }: AuditQuery): boolean {
  return records > 0 && (since === undefined || maxTime >= since) && (until === undefined || minTime < until)
}
