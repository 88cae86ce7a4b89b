// Audit logs of several segments for the tests of the index, and the same search without an index.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { GENESIS, sealRecord, type Head } from '../../../src/audit/chain.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { AuditQuery } from '../../../src/audit/index/traits.ts'
import { compressedFile, segmentFile, slotFolder } from '../../../src/audit/places.ts'
import { compressFrame, seekTable } from '../../../src/audit/seekable.ts'
import { serialiseEvent } from '../../../src/audit/serialise.ts'

export type AnyEvent = { readonly event: string; readonly timestamp: string } & Readonly<Record<string, unknown>>
type Line = Record<string, unknown>

const FRAME_LINES = 7

export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'crank-index-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** An id of a call, made at `atMs`. */
export function idAt(atMs: number, n: number): string {
  const time = atMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7abc-8def-${hash(n).toString(16).padStart(12, '0')}`
}

export function traceOf(n: number): string {
  return hash(n + 1_000_000)
    .toString(16)
    .padStart(32, 'a')
}

export function sealed(events: readonly AnyEvent[], head: Head = GENESIS): { text: string; head: Head } {
  let text = ''
  for (const event of events) {
    const one = sealRecord(head, serialiseEvent(event as unknown as AuditEvent))
    head = one.head
    text += one.line
  }
  return { text, head }
}

/** Writes a chain with these segments. @returns their files */
export function writeChain(
  auditDir: string,
  slot: number,
  segments: readonly (readonly AnyEvent[])[],
  isCompressed: (at: number) => boolean = () => false,
): string[] {
  const folder = slotFolder(auditDir, slot)
  mkdirSync(folder, { recursive: true })
  let head = GENESIS
  return segments.map((events, at) => {
    const opened = { event: 'audit_segment_opened', timestamp: events[0]?.timestamp ?? new Date(0).toISOString() }
    const all =
      at === 0 ? events : [{ ...opened, reason: 'size', previous_seq: head.seq, previous_hash: head.hash }, ...events]
    const file = segmentFile(folder, head.seq + 1)
    const made = sealed(all, head)
    head = made.head
    if (!isCompressed(at)) writeFileSync(file, made.text, { mode: 0o600 })
    else writeFileSync(compressedFile(file), compressed(made.text), { mode: 0o600 })
    return isCompressed(at) ? compressedFile(file) : file
  })
}

/** As the controller compresses a segment: frames of whole lines, and a table. */
export function compressed(text: string): Buffer {
  const lines = text.split(/(?<=\n)/)
  const frames: { bytes: Buffer; contentBytes: number }[] = []
  for (let at = 0; at < lines.length; at += FRAME_LINES) {
    const content = Buffer.from(lines.slice(at, at + FRAME_LINES).join(''), 'latin1')
    frames.push({ bytes: compressFrame(content), contentBytes: content.length })
  }
  const sizes = frames.map(({ bytes, contentBytes }) => ({ bytes: bytes.length, contentBytes }))
  return Buffer.concat([...frames.map(({ bytes }) => bytes), seekTable(sizes)])
}

const SHARED = new Set(['trace_id', 'requester_spiffe_id', 'capability'])

/** A decision and how its call ended. `of`: other members than the usual ones. */
export function callOf(n: number, atMs: number, of: Partial<Record<string, unknown>> = {}): [AnyEvent, AnyEvent] {
  const common = {
    decision_id: idAt(atMs, n),
    trace_id: traceOf(n),
    requester_spiffe_id: 'spiffe://crank.local/worker/a',
    capability: 'use:one',
  }
  const { outcome = 'completed', status = 200, worker_id = 'worker-a', error = null, ...decided } = of
  const timestamp = new Date(atMs).toISOString()
  const ended = new Date(atMs + 5).toISOString()
  const shared = Object.entries(decided).filter(([name]) => SHARED.has(name))
  return [
    { event: 'policy_decision', timestamp, ...common, decision: 'allow', reasons: [], exception: null, ...decided },
    {
      event: 'route_outcome',
      timestamp: ended,
      ...common,
      ...Object.fromEntries(shared),
      outcome,
      status,
      worker_id,
      error,
    },
  ]
}

/** What a query finds, by reading everything: the decision ids of each chain, oldest first. */
export function searchedWithoutIndex(chain: readonly AnyEvent[], query: AuditQuery): string[] {
  const found: string[] = []
  for (const event of chain) {
    const id = event['decision_id']
    const decision = chain.find((other) => other.event !== 'route_outcome' && other['decision_id'] === id)
    if (!inTime(event, query)) continue
    if (event.event !== 'route_outcome') {
      if (has(query, [event])) found.push(String(id))
      continue
    }
    const alone = decision !== undefined && has(query, [decision])
    if (!alone && has(query, decision === undefined ? [event] : [decision, event])) found.push(String(id))
  }
  return found
}

function has(query: AuditQuery, records: readonly Line[]): boolean {
  const some = (asked: unknown, test: (record: Line) => boolean): boolean => asked === undefined || records.some(test)
  const textsOf = (record: Line): string =>
    JSON.stringify([record['reasons'], record['error'], record['exception'], record['reason']])
  return (
    some(query.decision, (record) => record['decision'] === query.decision) &&
    some(query.outcome, (record) => record['outcome'] === query.outcome) &&
    some(query.who, ({ requester_spiffe_id: by }) => typeof by === 'string' && by.includes(query.who!)) &&
    some(query.cap, (record) => [record['capability'], record['capabilities']].flat().includes(query.cap)) &&
    some(query.worker, (record) => record['worker_id'] === query.worker) &&
    some(query.status, ({ status }) => Number(status) >= query.status!.from && Number(status) <= query.status!.to) &&
    some(query.text, (record) => textsOf(record).toLowerCase().includes(query.text!.toLowerCase()))
  )
}

function inTime({ timestamp }: AnyEvent, { since, until }: AuditQuery): boolean {
  const at = Date.parse(timestamp)
  return (since === undefined || at >= since) && (until === undefined || at < until)
}

/** 40 bits that look random, the same for the same number. */
function hash(n: number): number {
  let state = (n + 1) * 2_654_435_761
  state = Math.imul(state ^ (state >>> 15), 2_246_822_507) >>> 0
  return state * 256 + (n & 255)
}
