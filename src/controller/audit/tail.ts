// Reads the end of an audit file at start: where the chain continues, and what a crash left behind it.
import { fstatSync, readSync } from 'node:fs'
import { FORMATS, otherFormat } from '../../core/formats.ts'
import { AuditFileError } from './audit-file-error.ts'
import { GENESIS, newerFormatOf, openRecord, startsLikeRecord, type Head } from '../../audit/chain.ts'

/** `size`: how much of the file to keep; the `tornBytes` after it are an incomplete last line. */
type Tail = { readonly head: Head; readonly size: number; readonly tornBytes: number }

const STEP_BYTES = 64 * 1024
/** More than one of our writes can contain: a file without a line end for so long is not an audit log. */
const MAX_TAIL_BYTES = 16 * 1024 * 1024
const LINE_FEED = 10

/**
 * Reads the last record and checks it against its own hash. Does not check earlier records, so that a start takes the same
 * time with any file; `verifyAudit` checks all of it. Only an incomplete write of our own counts as torn, at most one line:
 * it begins like the next record, or consists of the zeros that a power cut leaves after a record.
 * @throws {AuditFileError} when the file is not an audit log or of a newer version, or its last whole record is not genuine.
 */
export function readTail(fd: number, file: string): Tail {
  const { size } = fstatSync(fd)
  if (size === 0) return { head: GENESIS, size, tornBytes: 0 }
  const last = lineBefore(fd, size)
  refuseNewer(file, last.text)
  const record = last.whole ? openRecord(last.text) : 'not_json'
  if (typeof record === 'object') return { head: headOf(record), size, tornBytes: 0 }
  if (last.start === 0) {
    if (!last.whole && (startsLikeRecord(last.text) || /^\0+$/.test(last.text)))
      return { head: GENESIS, size: 0, tornBytes: size }
    throw record === 'hash_mismatch' ? damaged(file, record) : notOurs(file)
  }
  const before = openRecord(lineBefore(fd, last.start).text)
  if (typeof before === 'string')
    throw [before, record].includes('hash_mismatch') ? damaged(file, before) : notOurs(file)
  // A whole line of JSON was written completely: it is not torn.
  if (record !== 'not_json' || !isTorn(last, before)) throw damaged(file, record)
  return { head: headOf(before), size: last.start, tornBytes: size - last.start }
}

function headOf({ seq, hash }: Head): Head {
  return { seq, hash }
}

type TailLine = { readonly start: number; readonly text: string; readonly whole: boolean }

/** A line with a line end was written completely, unless a power cut left holes in it. */
function isTorn({ text, whole }: TailLine, head: Head): boolean {
  const hole = text.indexOf('\0')
  if (whole && hole === -1) return false
  return /^\0+$/.test(text) || startsLikeRecord(hole === -1 ? text : text.slice(0, hole), head)
}

/** @throws {AuditFileError} when a newer version of crank wrote this line: what it says of the chain is not known */
export function refuseNewer(file: string, line: string): void {
  const newer = newerFormatOf(line)
  if (newer === undefined) return
  const reason = `the last record of the audit file ${otherFormat(newer, FORMATS.audit_record)}`
  const cure = 'start the version of crank that wrote it, or set CRANK_AUDIT_DIR to a new folder and keep this one'
  throw new AuditFileError(`audit file ${file}: ${reason}; ${cure}`, { reason: `${reason}; start the newer version` })
}

export function damaged(file: string, fault: string): AuditFileError {
  return new AuditFileError(
    `audit file ${file}: its last record is damaged (${fault}); run "crank audit verify", then move the file away`,
    { reason: 'the last record of the audit file is damaged; move the file away' },
  )
}

function notOurs(file: string): AuditFileError {
  return new AuditFileError(
    `audit file ${file} is not an audit log and is left unchanged; move it away, or set CRANK_AUDIT_DIR to another folder`,
    { reason: "the file at the audit log's path is not an audit log; move it away" },
  )
}

/** The line that ends at `end`, where it starts, and whether it ends in a line feed (which is not part of `text`). */
function lineBefore(fd: number, end: number): TailLine {
  let bytes = Buffer.alloc(0)
  let start = end
  while (start > 0 && bytes.length < MAX_TAIL_BYTES) {
    const from = Math.max(0, start - STEP_BYTES)
    const step = Buffer.alloc(start - from)
    readSync(fd, step, 0, step.length, from)
    bytes = Buffer.concat([step, bytes])
    start = from
    // The last byte is the line's own line feed, if it has one; the line feed before that ends the previous line.
    const feed = bytes.subarray(0, -1).lastIndexOf(LINE_FEED)
    if (feed !== -1) {
      bytes = bytes.subarray(feed + 1)
      start += feed + 1
      break
    }
  }
  const whole = bytes.at(-1) === LINE_FEED
  return { start, text: bytes.toString('latin1', 0, bytes.length - Number(whole)), whole }
}
