// The links of a chain: that each record follows the one before it, over all segments. A break is noted, and the check goes on
// behind it, so that a report has all of them.
import { BREAKS, type BreakReason } from '../core/segment-reason.ts'
import { GENESIS, type Head, type LineFault } from './chain.ts'
import { records, type ProofFault } from './proof.ts'
import { isText, type RecordMembers } from './record-members.ts'

/**
 * `malformed`: JSON, but not laid out as a record. `sequence_gap`: genuine, but earlier records are missing or duplicate.
 * `torn_line`: a line without an end, before another segment. `damaged_segment`: a compressed segment cannot be decompressed.
 * `misnamed_segment`: its first record is not the one that its name says. `begins_late`: the oldest records are missing, and
 * their removal is not on record.
 */
export type FaultKind =
  | LineFault
  | 'sequence_gap'
  | 'prev_mismatch'
  | 'torn_line'
  | 'damaged_segment'
  | 'misnamed_segment'
  | 'begins_late'
  | ProofFault['why']

export type Fault = {
  readonly file: string
  /** 0: not a fault of a line. */
  readonly line: number
  /** The number of the first record that is not proven to be unchanged. */
  readonly seq: number
  readonly why: FaultKind
  readonly message: string
}

/** One record as the check needs it. `members`: parses it. */
type Link = Head & { readonly prev: string; readonly event: string; readonly members: () => RecordMembers }

/** `hash` null: it could not be read, so the next record may have any `prev`. */
type Before = { readonly seq: number; readonly hash: string | null }
type Place = { readonly file: string; readonly line: number }

const MAX_FAULTS = 20

export class ChainCheck {
  /** Whether the chain must begin with record 1, or the removal of what was before be on record. */
  readonly #isWhole: boolean
  #before: Before | undefined
  /** What was before the first record that was read, if that was not the first of the chain. */
  #continues: (Before & Place & { readonly reason: string }) | undefined
  #removed: { readonly seq: number; readonly hash: string } | undefined
  #intact: Head = GENESIS
  #records = 0
  #faults: Fault[] = []
  #faultCount = 0
  #place: Place = { file: '', line: 0 }
  #firstSeq: number | undefined

  constructor(isWhole: boolean) {
    this.#isWhole = isWhole
  }

  /** `firstSeq`: the number of its first record by its name; undefined if the name does not say. */
  beginSegment(file: string, firstSeq: number | undefined): void {
    this.#place = { file, line: 0 }
    this.#firstSeq = firstSeq
  }

  see(line: number, link: Link): void {
    this.#place = { file: this.#place.file, line }
    const { seq, hash, prev } = link
    const before = this.#before ?? this.#begin(link)
    if (line === 1 && this.#firstSeq !== undefined && this.#firstSeq !== seq) {
      const message = `the segment is named after record ${this.#firstSeq}, but begins with record ${seq}`
      this.#add('misnamed_segment', message, before.seq + 1)
    }
    if (seq !== before.seq + 1) this.#add('sequence_gap', gap(before.seq + 1, link), before.seq + 1)
    else if (before.hash !== null && before.hash !== prev)
      this.#add('prev_mismatch', 'the record does not continue the previous one', seq)
    this.#before = { seq, hash }
    if (link.event === 'audit_segments_removed') this.#noteRemoval(link.members())
    if (this.#faultCount > 0) return
    this.#intact = { seq, hash }
    this.#records++
  }

  /** A line that is no valid record. `claimed`: what it says of itself. */
  seeBad(line: number, why: LineFault, message: string, claimed?: Head): void {
    this.#place = { file: this.#place.file, line }
    const seq = this.#expected()
    this.#add(why, message, seq)
    // Without a number of its own, it stands for one record.
    this.#before = claimed?.seq === seq ? claimed : { seq, hash: null }
  }

  seeTorn(bytes: number): void {
    this.#place = { file: this.#place.file, line: this.#place.line + 1 }
    this.#add('torn_line', `the last line of the segment is torn (${bytes} bytes without an end)`, this.#expected())
  }

  seeDamage(reason: string): void {
    this.#add('damaged_segment', `the segment cannot be decompressed from here on (${reason})`, this.#expected())
  }

  seeProof({ seq, why, message }: ProofFault): void {
    this.#place = { file: this.#place.file, line: 0 }
    this.#add(why, message, seq)
  }

  end(): {
    readonly records: number
    readonly intact: Head | null
    readonly continues: Head | undefined
    readonly faults: readonly Fault[]
    readonly faultCount: number
  } {
    const {
      records: count,
      intact,
      continues,
    } = { records: this.#records, intact: this.#intact, continues: this.#continues }
    if (this.#isWhole && continues !== undefined && !this.#isRemoved(continues)) this.#addLate(continues)
    return {
      records: count,
      intact: count === 0 ? null : intact,
      continues:
        continues === undefined || continues.hash === null ? undefined : { seq: continues.seq, hash: continues.hash },
      faults: this.#faults,
      faultCount: this.#faultCount,
    }
  }

  #expected(): number {
    return (this.#before?.seq ?? (this.#firstSeq ?? 1) - 1) + 1
  }

  /** What is before the first record: nothing, or what it says itself when it opens a segment. */
  #begin(link: Link): Before {
    const opened = link.event === 'audit_segment_opened' ? link.members() : undefined
    const isLater = opened !== undefined || (this.#isWhole && link.seq > 1)
    const before = opened === undefined ? { seq: link.seq - 1, hash: link.prev } : previousIn(opened)
    if (!isLater || before.seq === 0) return GENESIS
    this.#continues = { ...before, ...this.#place, reason: opened === undefined ? '' : reasonIn(opened) }
    return before
  }

  #noteRemoval(members: RecordMembers): void {
    const [seq, hash] = [Number(members['last_seq']), String(members['last_hash'])]
    if (seq > (this.#removed?.seq ?? 0)) this.#removed = { seq, hash }
  }

  /** Also where a crash left a part of what was to be removed. */
  #isRemoved({ seq, hash }: Before): boolean {
    const removed = this.#removed
    if (removed === undefined || removed.seq < seq) return false
    return removed.seq > seq || hash === null || removed.hash === hash
  }

  #addLate({ seq, reason, file, line }: Before & Place & { readonly reason: string }): void {
    const removed = this.#removed
    const from = removed === undefined || removed.seq >= seq ? 1 : removed.seq + 1
    const known = removed === undefined ? '' : `; the removal of the records up to ${removed.seq} is`
    const left = leftBy(reason) === undefined ? '' : ` (${leftBy(reason)})`
    const message = `${records(from, seq)} missing${left}, and their removal is not on record${known}`
    this.#place = { file, line }
    this.#add('begins_late', message, from)
  }

  #add(why: FaultKind, message: string, seq: number): void {
    this.#faultCount++
    if (this.#faults.length < MAX_FAULTS) this.#faults.push({ ...this.#place, seq, why, message })
  }
}

/** What became of the segment before, in words; undefined: the controller did nothing but begin a new one. */
function leftBy(reason: string): string | undefined {
  return reason in BREAKS ? BREAKS[reason as BreakReason] : undefined
}

function gap(expected: number, { seq, event, members }: Link): string {
  const found = `expected record ${expected}, found record ${seq}`
  if (seq < expected) return found
  const missing = `${found}: ${records(expected, seq - 1)} missing`
  const reason = event === 'audit_segment_opened' ? reasonIn(members()) : ''
  const left = leftBy(reason)
  return left === undefined ? missing : `${missing}; the controller found that ${left}`
}

function previousIn(opened: RecordMembers): Head {
  return { seq: Number(opened['previous_seq']), hash: String(opened['previous_hash']) }
}

function reasonIn({ reason }: RecordMembers): string {
  return isText(reason) ? reason : ''
}
