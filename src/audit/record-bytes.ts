// Opens a record from its bytes, for `verify`: as strict as `openRecord`, at half its cost.
import { hash as digest } from 'node:crypto'
import { RECORD_START } from './chain.ts'
import { isAt, isCompactObject } from './json-bytes.ts'

/** What `verify` needs of every record. */
type RecordBytes = {
  readonly seq: number
  readonly prev: string
  readonly hash: string
  readonly event: string
  /** Where the members of the event begin, with the comma before them. */
  readonly membersAt: number
}

const BEGIN = Buffer.from(RECORD_START)
const PREV = Buffer.from(',"prev":"')
const HASH = Buffer.from('","hash":"')
const EVENT = Buffer.from('","event":"')
const TIMESTAMP = Buffer.from(',"timestamp":"')
const ONCE = [Buffer.from('event'), Buffer.from('timestamp')]
const QUOTE = 0x22
const HEX = 64
const MAX_SEQ_DIGITS = 16
const HASH_MEMBER = `"hash":"${'0'.repeat(HEX)}",`.length

/**
 * The record of the line `bytes` from `start` to `end`, which is followed by a line feed. Undefined when it is not laid out as
 * our writer does it, or does not match its hash: `openRecord` then says what it is. Overwrites the beginning of a
 * record's line, before `membersAt`.
 */
export function openBytes(bytes: Buffer, start: number, end: number): RecordBytes | undefined {
  const seqAt = start + BEGIN.length
  let at = seqAt
  let seq = 0
  for (let c = bytes[at] ?? 0; c >= 0x30 && c <= 0x39; c = bytes[++at] ?? 0) seq = seq * 10 + c - 0x30
  const prevAt = at + PREV.length
  const hashAt = prevAt + HEX + HASH.length
  const eventAt = hashAt + HEX + EVENT.length
  if (seq === 0 || bytes[seqAt] === 0x30 || at - seqAt > MAX_SEQ_DIGITS || eventAt >= end) return undefined
  if (!isAt(bytes, start, BEGIN) || !isAt(bytes, at, PREV) || !isAt(bytes, prevAt + HEX, HASH)) return undefined
  if (!isAt(bytes, hashAt + HEX, EVENT) || !isHex(bytes, prevAt) || !isHex(bytes, hashAt)) return undefined
  const eventEnd = bytes.indexOf(QUOTE, eventAt)
  if (!isAt(bytes, eventEnd + 1, TIMESTAMP) || !isCompactObject(bytes, start, end, ONCE)) return undefined
  const claimed = bytes.toString('latin1', hashAt, hashAt + HEX)
  const prev = bytes.toString('latin1', prevAt, prevAt + HEX)
  const membersAt = hashAt + HEX + 2
  if (hashOf(bytes, start, membersAt, end) !== claimed) {
    bytes.write(`${RECORD_START}${seq},"prev":"${prev}","hash":"${claimed}",`, start, 'latin1')
    return undefined
  }
  const event = bytes.toString('latin1', eventAt, eventEnd)
  return { seq, prev, hash: claimed, event, membersAt: membersAt - 1 }
}

/** The hash covers the line without its hash member: what is before that is moved behind it. */
function hashOf(bytes: Buffer, start: number, membersAt: number, end: number): string {
  for (let at = membersAt - 1; at >= start + HASH_MEMBER; at--) bytes[at] = bytes[at - HASH_MEMBER] ?? 0
  return digest('sha256', bytes.subarray(start + HASH_MEMBER, end), 'hex')
}

function isHex(bytes: Buffer, from: number): boolean {
  for (let at = from; at < from + HEX; at++) {
    const c = bytes[at] ?? 0
    if (!((c >= 0x30 && c <= 0x39) || (c >= 0x61 && c <= 0x66))) return false
  }
  return true
}
