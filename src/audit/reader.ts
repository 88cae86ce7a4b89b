// Reads audit files for people, with filters. It does not verify: it skips lines that are not records, such as a torn tail;
// `verifyAudit` reports them.
import { openRecord, type ChainedRecord } from './chain.ts'
import { readLines } from './lines.ts'
import { mergeByTime } from './merge.ts'

/** `text`: the unchanged line. `line` counts from 1; in a followed file from where it was last emptied or replaced. */
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

/** The records of `file` that match, in order. Rejects with the file system's error when it cannot be read. */
export async function* readAudit(file: string, filter: AuditFilter = {}): AsyncGenerator<AuditRecord, void> {
  for await (const { number, text, complete } of readLines(file)) {
    const found = complete ? toRecord(number, text, filter) : undefined
    if (found !== undefined) yield found
  }
}

/** The matching records of several logs by time, each of which keeps its own order. Rejects as `readAudit` does. */
export async function* readAudits(
  files: readonly string[],
  filter: AuditFilter = {},
): AsyncGenerator<AuditRecord, void> {
  const logs = files.map((file) => readAudit(file, filter))
  yield* logs.length === 1 && logs[0] !== undefined ? logs[0] : mergeByTime(logs)
}

/** The record of a line, if the line is one and matches. */
export function toRecord(line: number, text: string, filter: AuditFilter): AuditRecord | undefined {
  const record = openRecord(text)
  return typeof record === 'object' && matches(record, filter) ? { line, text, record } : undefined
}

function matches(record: ChainedRecord, { deny, who, cap, trace, since }: AuditFilter): boolean {
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
