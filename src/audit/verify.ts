// Checks whole audit files: every hash, every link, every number.
import { passes } from '../core/ruling.ts'
import { GENESIS, openRecord, type ChainedRecord, type Head, type LineFault } from './chain.ts'
import { readLines } from './lines.ts'
import { rulingIn } from './record-members.ts'

/** `malformed`: JSON, but not laid out as a record. `sequence_gap`: genuine, but earlier records are missing or duplicate. */
type BadRecord = {
  readonly file: string
  readonly line: number
  /** The number of the first record that is not proven to be unchanged. */
  readonly seq: number
  readonly why: LineFault | 'sequence_gap' | 'prev_mismatch'
  readonly message: string
}

/**
 * `records`, `head` and `withoutOutcome` count up to the first bad record. `withoutOutcome`: calls that the ruling let pass and
 * whose end is not on record: they are still running, or a crash lost the last outcomes, and nobody knows how they ended.
 * `continues`: the chain begins in a file that was not checked, which
 * should end with this record. The controller repairs a torn tail at its next start.
 */
export type Verification = {
  readonly ok: boolean
  readonly records: number
  readonly withoutOutcome: number
  readonly continues?: Head
  readonly head: Head | null
  readonly firstBad?: BadRecord
  readonly tornTailBytes: number
}

/**
 * Reads `files`, each of which continues the previous one, up to the first bad record. The first file may begin with
 * `audit_segment_opened`: the controller continued there when the previous file was moved away. `ok`: no bad record and no
 * torn tail. A chain alone cannot show that its last records were removed, or that all of it was rewritten: compare `head`
 * with a copy kept elsewhere. Rejects with the file system's error when a file cannot be read.
 */
export async function verifyAudit(...files: readonly string[]): Promise<Verification> {
  let head: Head | undefined
  let continues: Head | undefined
  let records = 0
  const running = new Set<unknown>()
  const done = (tornTailBytes: number, firstBad?: BadRecord): Verification => ({
    ok: firstBad === undefined && tornTailBytes === 0,
    records,
    withoutOutcome: running.size,
    ...(continues !== undefined && { continues }),
    head: records === 0 ? null : (head ?? null),
    ...(firstBad !== undefined && { firstBad }),
    tornTailBytes,
  })
  for (const file of files) {
    for await (const { number, text, complete } of readLines(file)) {
      if (!complete) return done(text.length)
      const next = follow(head, text)
      if ('why' in next) return done(0, { file, line: number, seq: (head ?? GENESIS).seq + 1, ...next })
      if (head === undefined && next.before.seq > 0) continues = next.before
      head = next.head
      records++
      if (begins(next.record)) running.add(next.record['decision_id'])
      else if (next.record.event === 'route_outcome') running.delete(next.record['decision_id'])
    }
  }
  return done(0)
}

const FAULTS: Readonly<Record<LineFault, string>> = {
  not_json: 'the line is not JSON',
  malformed: 'the line does not have the layout of a record',
  hash_mismatch: 'the record was changed: it does not match its own hash',
}

type Link = { readonly before: Head; readonly head: Head; readonly record: ChainedRecord }

/** Whether an outcome follows: of a decision that is made again before a retry, the first one's outcome says how it ended. */
function begins(record: ChainedRecord): boolean {
  const ruling = record.event === 'policy_decision' ? rulingIn(record) : undefined
  return ruling !== undefined && passes(ruling) && (record['retry_of'] ?? null) === null
}

/** Checks that `text` is a record that may follow `head`; without `head`, that it may begin a file. */
function follow(head: Head | undefined, text: string): Link | Pick<BadRecord, 'why' | 'message'> {
  const record = openRecord(text)
  if (typeof record === 'string') return { why: record, message: FAULTS[record] }
  const before = head ?? beginningOf(record)
  if (record.seq !== before.seq + 1) {
    return { why: 'sequence_gap', message: `expected record ${before.seq + 1}, found record ${record.seq}` }
  }
  if (record.prev !== before.hash) {
    return { why: 'prev_mismatch', message: 'the record does not continue the previous one' }
  }
  return { before, head: { seq: record.seq, hash: record.hash }, record }
}

/** The head that a file beginning with `record` continues. */
function beginningOf(record: ChainedRecord): Head {
  if (record.event !== 'audit_segment_opened') return GENESIS
  return { seq: Number(record['previous_seq']), hash: String(record['previous_hash']) }
}
