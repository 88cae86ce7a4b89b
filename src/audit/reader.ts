// Reads audit files for people, with filters. It does not verify: it skips lines that are not records, such as a torn tail;
// `verifyAudit` reports them.
import { openRecord, type ChainedRecord } from './chain.ts'
import { tellDamage, type OnDamaged } from './damage.ts'
import { readLines, readLinesBackwards } from './lines.ts'
import { mergeByTime } from './merge.ts'
import type { AuditChain } from './places.ts'
import { segmentsWithin } from './segments-within.ts'

/** `text`: the unchanged line. `line` counts from 1, in a followed file from where it was last emptied or replaced; 0: not known. */
export type AuditRecord = { readonly line: number; readonly text: string; readonly record: ChainedRecord }

export type AuditFilter = {
  /** Only refusals, and calls that enforce mode would have refused. */
  readonly deny?: boolean
  /** A part of the requester's SPIFFE ID, such as `worker/streaming`. */
  readonly who?: string
  /** A capability, `verb:name`. */
  readonly cap?: string
  /** Records of this trace. */
  readonly trace?: string
  /** Unix milliseconds: only records from this time on. */
  readonly since?: number
}

/** The records of a file that match, in order. Rejects as `readLines` does. */
async function* readAudit(file: string, filter: AuditFilter = {}): AsyncGenerator<AuditRecord, void> {
  for await (const { number, text, complete } of readLines(file)) {
    const found = complete ? toRecord(number, text, filter) : undefined
    if (found !== undefined) yield found
  }
}

/**
 * The matching records of several chains by time, each of which keeps its own order. Rejects as `readAudit` does. With `onDamaged`
 * a damaged segment is told instead, and the next one read.
 */
export async function* readAudits(
  chains: readonly AuditChain[],
  filter: AuditFilter = {},
  onDamaged?: OnDamaged,
): AsyncGenerator<AuditRecord, void> {
  const logs = chains.map((chain) => readChain(chain, filter, onDamaged))
  yield* logs.length === 1 && logs[0] !== undefined ? logs[0] : mergeByTime(logs)
}

/** `ends`: where to begin in a segment, instead of at its end. `onDamaged`: as for `readAudits`. */
type LastOptions = { readonly ends?: ReadonlyMap<string, number>; readonly onDamaged?: OnDamaged | undefined }

/** The last `count` matching records of all chains by time. Reads from the ends. */
export async function lastOfAudits(
  chains: readonly AuditChain[],
  filter: AuditFilter,
  count: number,
  options: LastOptions = {},
): Promise<AuditRecord[]> {
  if (count === 0) return []
  const lasts = await Promise.all(chains.map((chain) => lastOf(chain, { filter, count, ...options })))
  const merged: AuditRecord[] = []
  for await (const record of mergeByTime(lasts.map(each))) merged.push(record)
  return merged.slice(-count)
}

async function lastOf(
  chain: AuditChain,
  { filter, count, ends, onDamaged }: LastOptions & { readonly filter: AuditFilter; readonly count: number },
): Promise<AuditRecord[]> {
  const found: AuditRecord[] = []
  for (const { file } of chain.segments.toReversed()) {
    for await (const text of whileReadable({ chain, file, onDamaged }, readLinesBackwards(file, ends?.get(file)))) {
      const record = toRecord(0, text, filter)
      if (record !== undefined) found.push(record)
      if (found.length === count) return found.reverse()
    }
  }
  return found.reverse()
}

type Reading = { readonly chain: AuditChain; readonly file: string; readonly onDamaged: OnDamaged | undefined }

/**
 * Ends early when the segment is gone, since retention removes the oldest while somebody reads, or damaged. A file that somebody named
 * must be there.
 */
async function* whileReadable<T>(
  { chain, file, onDamaged }: Reading,
  items: AsyncGenerator<T, void>,
): AsyncGenerator<T, void> {
  try {
    yield* items
  } catch (cause: unknown) {
    if (tellDamage(chain, file, { cause, onDamaged })) return
    if (file === chain.place || (cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- mergeByTime takes asynchronous sources
async function* each(records: readonly AuditRecord[]): AsyncGenerator<AuditRecord, void> {
  yield* records
}

async function* readChain(
  chain: AuditChain,
  filter: AuditFilter,
  onDamaged: OnDamaged | undefined,
): AsyncGenerator<AuditRecord, void> {
  for (const { file } of await segmentsWithin(chain.segments, filter))
    yield* whileReadable({ chain, file, onDamaged }, readAudit(file, filter))
}

/** The record of a line, if the line is one and matches. */
export function toRecord(line: number, text: string, filter: AuditFilter): AuditRecord | undefined {
  const record = openRecord(text)
  return typeof record === 'object' && matches(record, filter) ? { line, text, record } : undefined
}

/** Whether a record is one of those that the filter asks for. */
export function matches(record: ChainedRecord, { deny, who, cap, trace, since }: AuditFilter): boolean {
  if (since !== undefined && !(Date.parse(record.timestamp) >= since)) return false
  if (trace !== undefined && record['trace_id'] !== trace) return false
  if (deny === true && !isRefusal(record)) return false
  if (who !== undefined && !isBy(record['requester_spiffe_id'], who)) return false
  return cap === undefined || record['capability'] === cap || offers(record['capabilities'], cap)
}

const REFUSALS = new Set(['identity_refused', 'handshake_refused', 'request_refused'])

function isRefusal(record: ChainedRecord): boolean {
  if (REFUSALS.has(record.event)) return true
  const decision = record['decision']
  return decision === 'deny' || decision === 'would_deny' || decision === 'error'
}

function isBy(requester: unknown, who: string): boolean {
  return typeof requester === 'string' && requester.includes(who)
}

function offers(capabilities: unknown, cap: string): boolean {
  return Array.isArray(capabilities) && capabilities.includes(cap)
}
