// On the path of every call. W3C Trace Context, level 2: https://www.w3.org/TR/trace-context-2/. Only what a router needs:
// parse, create, validate.

import { randomHex } from './ids.ts'

/** Ids in lower-case hex, and the two defined flags; `random`: the trace id was made at random. */
export type TraceContext = {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
  readonly random?: true
}

const SAMPLED = 1
const RANDOM = 2

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const TRACESTATE_MEMBER =
  /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MAX_TRACESTATE_CHARS = 512
const MAX_TRACESTATE_MEMBERS = 32

/**
 * The caller's context, or undefined when the header is absent, duplicate or malformed: then a new trace begins (3.2.2.3).
 * From a future version only the parts of version 00 are read (3.2.4).
 */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  if (match?.[2] === undefined || match[3] === undefined || match[4] === undefined) return undefined
  if (match[1] === '00' && match[5] !== undefined) return undefined
  const flags = Number.parseInt(match[4], 16)
  const context = { traceId: match[2], spanId: match[3], sampled: (flags & SAMPLED) !== 0 }
  return (flags & RANDOM) === 0 ? context : { ...context, random: true }
}

/** For a question that does not come from a request, such as a self-check: `sampled` is off, so the receiver records nothing. */
export function unrecordedTrace(): TraceContext {
  return { traceId: randomHex(16), spanId: randomHex(8), sampled: false }
}

/** The header for the next hop. */
export function formatTraceparent({ traceId, spanId, sampled, random }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${(sampled ? SAMPLED : 0) + (random === true ? RANDOM : 0)}`
}

/**
 * `tracestate` if every member is well-formed and the whole is within the limits (3.3.1), else undefined. Members may be
 * empty, since a sender that joins headers does not parse them (3.3.1.1).
 */
export function validTracestate(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_TRACESTATE_CHARS) return undefined
  const members = header
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '')
  if (members.length === 0 || members.length > MAX_TRACESTATE_MEMBERS) return undefined
  return members.every((member) => TRACESTATE_MEMBER.test(member)) ? header : undefined
}

/** The ids as fields of a log line. */
export function traceFields({ traceId, spanId }: TraceContext): { trace_id: string; span_id: string } {
  return { trace_id: traceId, span_id: spanId }
}
