// On the path of every call. The hash chain. A record is one line of printable ASCII that ends in a line feed and begins
// with exactly {"v":1,"seq":<n>,"prev":"<64 hex>","hash":"<64 hex>", followed by the members of the event. `hash` is the
// SHA-256 of the line's bytes without the line feed and without the member `"hash":"<64 hex>",`. Those bytes include `prev`,
// so each hash covers all records before it. The first record has `seq` 1 and a `prev` of 64 zeros. To check a record by
// hand: sed -n 7p 1.jsonl | sed -E 's/"hash":"[0-9a-f]{64}",//' | tr -d '\n' | sha256sum
import { hash as digest } from 'node:crypto'
import { FORMATS } from '../core/formats.ts'
import { isText, type RecordMembers } from './record-members.ts'

/** The last record: its number and its hash. */
export type Head = { readonly seq: number; readonly hash: string }

/** The head of an empty chain. */
export const GENESIS: Head = { seq: 0, hash: '0'.repeat(64) }

/** A record as read from the file. */
export type ChainedRecord = {
  readonly v: typeof FORMATS.audit_record
  readonly seq: number
  readonly prev: string
  readonly hash: string
  readonly event: string
  readonly timestamp: string
} & RecordMembers

/** Why a line is not a valid record, regardless of its neighbours. */
export type LineFault = 'not_json' | 'malformed' | 'newer_format' | 'hash_mismatch'

const V = FORMATS.audit_record
/** How each record begins, up to its number. */
export const RECORD_START = `{"v":${V},"seq":`
const START = new RegExp(
  String.raw`^\{"v":${V},"seq":([1-9][0-9]{0,15}),"prev":"([0-9a-f]{64})",("hash":"([0-9a-f]{64})",)`,
)
const BEGUN = new RegExp(String.raw`^\{"v":${V},"seq":([0-9]*)(?:,"prev":"([0-9a-f]*))?`)
const NOT_PRINTABLE = /[^\x20-\x7e]/

/** Appends one event (from `serialiseEvent`) to the chain: returns its line, including the line feed, and the new head. */
export function sealRecord(head: Head, members: string): { line: string; head: Head } {
  const seq = head.seq + 1
  const start = `${RECORD_START}${seq},"prev":"${head.hash}",`
  const hash = digest('sha256', `${start}${members}}`, 'hex')
  return { line: `${start}"hash":"${hash}",${members}}\n`, head: { seq, hash } }
}

/** Reads one line, without its line feed, and checks it against its own hash. */
export function openRecord(line: string): ChainedRecord | LineFault {
  const record = parseJson(line)
  if (record === undefined) return 'not_json'
  const start = START.exec(line)
  const { event, timestamp } = record
  if (start === null && newerFormatOf(line) !== undefined) return 'newer_format'
  if (start === null || NOT_PRINTABLE.test(line) || !isText(event) || !isText(timestamp)) return 'malformed'
  const [whole, seq, prev = '', hashMember = '', hash = ''] = start
  const hashed = whole.slice(0, whole.length - hashMember.length) + line.slice(whole.length)
  if (digest('sha256', hashed, 'hex') !== hash) return 'hash_mismatch'
  // From the text, not from the parsed object: there a duplicate member would override the first.
  return { ...record, v: V, seq: Number(seq), prev, hash, event, timestamp }
}

/** The format of a line that a newer version wrote; undefined: it is not such a line. */
export function newerFormatOf(line: string): number | undefined {
  const format = Number(/^\{"v":([1-9][0-9]{0,8}),/.exec(line)?.[1] ?? 0)
  return format > V ? format : undefined
}

/** Whether `text` may be the beginning of a record: of the one after `head`, or, without `head`, of any record. */
export function startsLikeRecord(text: string, head?: Head): boolean {
  const [, seq, hash] = BEGUN.exec(text) ?? []
  const next = head ?? { seq: Math.max(0, Number(seq ?? 1) - 1), hash: (hash ?? '').padEnd(64, '0') }
  const start = `${RECORD_START}${next.seq + 1},"prev":"${next.hash}","hash":"`
  return text !== '' && text.startsWith(start.slice(0, text.length))
}

function parseJson(line: string): RecordMembers | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
