// Audit records as OTLP log records, in the JSON form of opentelemetry-proto (logs/v1/logs.proto): 64-bit numbers are strings,
// ids are hex. The body is the unchanged line, so that the chain can be verified from what was shipped.
import { openRecord, type ChainedRecord } from '../../audit/chain.ts'

/** A line of the audit log. `record` undefined: the line is no valid record; it is shipped all the same. */
export type ReadLine = { readonly text: string; readonly record: ChainedRecord | undefined }

type AnyValue = { readonly stringValue: string } | { readonly intValue: string }
type KeyValue = { readonly key: string; readonly value: AnyValue }
type Severity = 'INFO' | 'WARN' | 'ERROR'

export type LogRecord = {
  readonly timeUnixNano: string
  readonly observedTimeUnixNano: string
  readonly severityNumber: number
  readonly severityText: Severity
  readonly eventName: string
  readonly body: { readonly stringValue: string }
  readonly attributes: readonly KeyValue[]
  readonly traceId?: string
  readonly spanId?: string
}

/** Records of a segment that cannot be read any more; `lastSeq`: the one before the next segment. */
export type Gap = {
  readonly file: string
  readonly firstSeq: number
  readonly lastSeq: number
  /** The code of the error. */
  readonly reason: string
}

type Origin = { readonly slot: number; readonly observedMs: number }

/** What every record of a request has in common. */
export type ShippedFrom = {
  readonly resource: Readonly<Record<string, string>>
  readonly scope: { readonly name: string; readonly version: string }
}

const SEVERITY_NUMBERS = { INFO: 9, WARN: 13, ERROR: 17 } as const
const WARNINGS = new Set([
  'identity_refused',
  'handshake_refused',
  'request_refused',
  'worker_evicted',
  'audit_recovered',
  'audit_repaired',
  'clock_stepped',
])
const GOOD_OUTCOMES = new Set<unknown>(['completed', 'caller_left', 'refused'])
const TRACE_ID = /^(?!0+$)[0-9a-f]{32}$/
const SPAN_ID = /^(?!0+$)[0-9a-f]{16}$/

export function readLine(text: string): ReadLine {
  const record = openRecord(text)
  return { text, record: typeof record === 'object' ? record : undefined }
}

export function logRecordOf({ text, record }: ReadLine, { slot, observedMs }: Origin): LogRecord {
  if (record === undefined) return invalidLine(text, { slot, observedMs })
  const { seq, hash, event, timestamp, trace_id: traceId, span_id: spanId, decision_id: decisionId } = record
  return {
    timeUnixNano: nanoseconds(Date.parse(timestamp)),
    ...common(severityOf(record), { slot, observedMs }),
    eventName: event,
    body: { stringValue: text },
    attributes: [
      integer('crank.audit.seq', seq),
      integer('crank.audit.slot', slot),
      string('crank.audit.hash', hash),
      string('crank.audit.event', event),
      ...(typeof decisionId === 'string' ? [string('crank.decision_id', decisionId)] : []),
    ],
    ...(isId(traceId, TRACE_ID) && { traceId }),
    ...(isId(traceId, TRACE_ID) && isId(spanId, SPAN_ID) && { spanId }),
  }
}

/** The checkpoint of a slot: a signed note, unchanged. */
export function checkpointRecord(note: string, { slot, observedMs }: Origin): LogRecord {
  return {
    timeUnixNano: nanoseconds(observedMs),
    ...common('INFO', { slot, observedMs }),
    eventName: 'audit_checkpoint',
    body: { stringValue: note },
    attributes: [integer('crank.audit.slot', slot), string('crank.audit.event', 'audit_checkpoint')],
  }
}

/** Stands in what is shipped for the records of a damaged segment: whoever has it shall know what it lacks. */
export function gapRecord({ file, firstSeq, lastSeq, reason }: Gap, { slot, observedMs }: Origin): LogRecord {
  const text = `records ${firstSeq} to ${lastSeq} of slot ${slot} cannot be read: ${file} is damaged (${reason})`
  return {
    timeUnixNano: nanoseconds(observedMs),
    ...common('ERROR', { slot, observedMs }),
    eventName: 'audit_segment_damaged',
    body: { stringValue: text },
    attributes: [
      integer('crank.audit.slot', slot),
      string('crank.audit.event', 'audit_segment_damaged'),
      integer('crank.audit.first_seq', firstSeq),
      integer('crank.audit.last_seq', lastSeq),
    ],
  }
}

/** The body of one export request. */
export function exportRequest(records: readonly LogRecord[], { resource, scope }: ShippedFrom): string {
  const attributes = Object.entries(resource).map(([key, value]) => string(key, value))
  if (records.length === 0) return '{"resourceLogs":[]}'
  return JSON.stringify({ resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope, logRecords: records }] }] })
}

/** Somebody changed the file: the receiver shall see that, and when. */
function invalidLine(text: string, { slot, observedMs }: Origin): LogRecord {
  return {
    timeUnixNano: nanoseconds(observedMs),
    ...common('ERROR', { slot, observedMs }),
    eventName: 'audit_line_invalid',
    body: { stringValue: text },
    attributes: [integer('crank.audit.slot', slot), string('crank.audit.event', 'audit_line_invalid')],
  }
}

function common(severityText: Severity, { observedMs }: Origin) {
  return {
    observedTimeUnixNano: nanoseconds(observedMs),
    severityNumber: SEVERITY_NUMBERS[severityText],
    severityText,
  }
}

function severityOf({ event, decision, outcome }: ChainedRecord): Severity {
  if (decision === 'error' || decision === 'unevaluated') return 'ERROR'
  if (decision === 'deny' || decision === 'would_deny' || WARNINGS.has(event)) return 'WARN'
  return event === 'route_outcome' && !GOOD_OUTCOMES.has(outcome) ? 'WARN' : 'INFO'
}

function isId(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value)
}

function nanoseconds(ms: number): string {
  return Number.isFinite(ms) && ms > 0 ? `${Math.trunc(ms)}000000` : '0'
}

function string(key: string, stringValue: string): KeyValue {
  return { key, value: { stringValue } }
}

function integer(key: string, value: number): KeyValue {
  return { key, value: { intValue: String(value) } }
}
