// The controller's headers on POST /execute, parsed once.
import type { IncomingHttpHeaders } from 'node:http'
import { parseIdempotencyKey } from '../core/idempotency-key.ts'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { parseTraceparent, validTracestate, type TraceContext } from '../core/trace-context.ts'
import { HEADERS, MAX_TIMEOUT_MS } from '../core/wire.ts'
import { RuntimeError } from './call-error.ts'

export type CallHeaders = {
  /** `verb:name`; whether the worker offers it is checked later. */
  readonly capability: string
  readonly caller: SpiffeId
  readonly decisionId: string
  readonly deadlineMs: number | undefined
  /** Opaque to the worker: sent back with the calls on behalf of this one. */
  readonly chain: string | undefined
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
  readonly contentType: string | undefined
  readonly trace: TraceContext | undefined
  readonly tracestate: string | undefined
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** @throws {RuntimeError} `CALL_MALFORMED` with the header's name. Only a faulty controller sends such a call. */
export function parseCallHeaders(headers: IncomingHttpHeaders): CallHeaders {
  const trace = parseTraceparent(optional(headers, HEADERS.traceparent))
  return {
    capability: required(headers, HEADERS.capability),
    caller: parseCaller(required(headers, HEADERS.caller)),
    decisionId: required(headers, HEADERS.crankDecisionId),
    deadlineMs: parseDeadline(optional(headers, HEADERS.deadlineMs)),
    chain: optional(headers, HEADERS.chain),
    idempotencyKey: parseKey(optional(headers, HEADERS.idempotencyKey)),
    lastEventId: optional(headers, HEADERS.lastEventId),
    contentType: headers['content-type'],
    trace,
    // Meaningless without its parent (Trace Context 3.3.1.1).
    tracestate: trace === undefined ? undefined : validTracestate(optional(headers, HEADERS.tracestate)),
  }
}

/** The valid ids of a refused request, with their names in the log. */
export function idsIn(headers: IncomingHttpHeaders): { trace_id?: string; span_id?: string; decision_id?: string } {
  const trace = parseTraceparent(optional(headers, HEADERS.traceparent))
  const decisionId = optional(headers, HEADERS.crankDecisionId)
  return {
    ...(trace !== undefined && { trace_id: trace.traceId, span_id: trace.spanId }),
    ...(decisionId !== undefined && UUID.test(decisionId) && { decision_id: decisionId }),
  }
}

function required(headers: IncomingHttpHeaders, name: string): string {
  const value = optional(headers, name)
  if (value === undefined || value === '') throw malformed(`${name} is missing`)
  return value
}

function optional(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

function parseCaller(text: string): SpiffeId {
  try {
    return parseSpiffeId(text)
  } catch (cause: unknown) {
    throw malformed(`${HEADERS.caller} is not a SPIFFE ID`, cause)
  }
}

function parseDeadline(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(ms <= MAX_TIMEOUT_MS)) throw malformed(`${HEADERS.deadlineMs} must be milliseconds, at most ${MAX_TIMEOUT_MS}`)
  return ms
}

function parseKey(value: string | undefined): string | undefined {
  try {
    return value === undefined ? undefined : parseIdempotencyKey(value)
  } catch (cause: unknown) {
    throw malformed(`${HEADERS.idempotencyKey} is not one key`, cause)
  }
}

function malformed(what: string, cause?: unknown): RuntimeError {
  return new RuntimeError('CALL_MALFORMED', what, { cause })
}
