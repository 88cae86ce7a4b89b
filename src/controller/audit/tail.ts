// The end of an audit file, at start: where the chain goes on, and what a crash left behind it.
import { fstatSync, readSync } from 'node:fs'
import { AuditFileError } from './audit-file-error.ts'
import { GENESIS, openRecord, type Head } from './chain.ts'

/** `size`: how much of the file to keep; the `tornBytes` after it are the half of a last line. */
export type Tail = { readonly head: Head; readonly size: number; readonly tornBytes: number }

const STEP_BYTES = 64 * 1024
const LINE_FEED = 10

/**
 * Reads the last record and checks it against its own hash. What is before it is not looked at, so that a start takes
 * the same time with any file; `verifyAudit` checks the whole. A last line that a crash cut off (no line feed, or no
 * JSON) is torn, at most one. @throws {AuditFileError} when the last whole record is not genuine.
 */
export function readTail(fd: number, file: string): Tail {
  const { size } = fstatSync(fd)
  const last = lineBefore(fd, size)
  const torn = last.text === undefined || openRecord(last.text) === 'not_json'
  const keep = torn ? last.start : size
  if (keep === 0) return { head: GENESIS, size: 0, tornBytes: size }
  const record = openRecord(lineBefore(fd, keep).text ?? '')
  if (typeof record === 'string') {
    throw new AuditFileError(
      `audit file ${file}: its last record is damaged (${record}); see what "crank audit verify" says, then move the file away`,
    )
  }
  return { head: { seq: record.seq, hash: record.hash }, size: keep, tornBytes: size - keep }
}

/** The line that ends at `end`, and where it starts; no text when it does not end in a line feed. */
function lineBefore(fd: number, end: number): { start: number; text: string | undefined } {
  let bytes = Buffer.alloc(0)
  let start = end
  while (start > 0) {
    const from = Math.max(0, start - STEP_BYTES)
    const step = Buffer.alloc(start - from)
    readSync(fd, step, 0, step.length, from)
    bytes = Buffer.concat([step, bytes])
    start = from
    // The line's own line feed is the last byte, if it has one; the one before it ends the line before.
    const feed = bytes.subarray(0, -1).lastIndexOf(LINE_FEED)
    if (feed !== -1) {
      bytes = bytes.subarray(feed + 1)
      start += feed + 1
      break
    }
  }
  const whole = bytes.at(-1) === LINE_FEED
  return { start, text: whole ? bytes.toString('latin1', 0, bytes.length - 1) : undefined }
}
