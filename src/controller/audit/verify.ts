// Checks a whole audit file: every hash, every link, every number.
import { GENESIS, openRecord, type Head, type LineFault } from './chain.ts'
import { readLines } from './lines.ts'

/** `malformed`: JSON, but not laid out as a record. `sequence_gap`: genuine, but records before it are missing or doubled. */
export type BadRecord = {
  readonly line: number
  /** The number of the first record that is not proven to be as it was written. */
  readonly seq: number
  readonly why: LineFault | 'sequence_gap' | 'prev_mismatch'
  readonly message: string
}

/** `records` and `head` count up to the first bad one. A torn tail is repaired at the controller's next start. */
export type Verification = {
  readonly ok: boolean
  readonly records: number
  readonly head: Head | null
  readonly firstBad?: BadRecord
  readonly tornTailBytes: number
}

/**
 * Reads `file` from its beginning to the first bad record. `ok`: no bad record and no torn tail. A chain alone cannot
 * show that its last records were cut off, or that it was written anew: compare `head` with one kept elsewhere.
 * Rejects with the file system's error when the file cannot be read.
 */
export async function verifyAudit(file: string): Promise<Verification> {
  let head = GENESIS
  let tornTailBytes = 0
  for await (const { number, text, complete } of readLines(file)) {
    if (!complete) {
      tornTailBytes = text.length
      break
    }
    const next = follow(head, text)
    if ('why' in next) return verification(head, 0, { line: number, seq: head.seq + 1, ...next })
    head = next
  }
  return verification(head, tornTailBytes)
}

function verification(head: Head, tornTailBytes: number, firstBad?: BadRecord): Verification {
  return {
    ok: firstBad === undefined && tornTailBytes === 0,
    records: head.seq,
    head: head.seq === 0 ? null : head,
    ...(firstBad !== undefined && { firstBad }),
    tornTailBytes,
  }
}

const FAULTS: Readonly<Record<LineFault, string>> = {
  not_json: 'the line is not JSON',
  malformed: 'the line is not laid out as a record',
  hash_mismatch: 'the record was changed: it does not match its own hash',
}

function follow(head: Head, text: string): Head | Pick<BadRecord, 'why' | 'message'> {
  const record = openRecord(text)
  if (typeof record === 'string') return { why: record, message: FAULTS[record] }
  if (record.seq !== head.seq + 1) {
    return { why: 'sequence_gap', message: `record ${head.seq + 1} should stand here, and ${record.seq} does` }
  }
  if (record.prev !== head.hash) {
    return { why: 'prev_mismatch', message: 'the record does not continue the one before it' }
  }
  return { seq: record.seq, hash: record.hash }
}
