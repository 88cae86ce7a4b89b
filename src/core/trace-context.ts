// W3C Trace Context, level 1: https://www.w3.org/TR/trace-context/. Only what a router needs: parse, make, validate.

/** Ids in lower-case hex; `sampled` is the one flag that is defined. */
export type TraceContext = { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
const TRACESTATE_MEMBER =
  /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MAX_TRACESTATE_CHARS = 512
const MAX_TRACESTATE_MEMBERS = 32

/** The caller's context, or undefined when the header is absent, doubled or malformed: then a new trace begins (3.2.2.3). */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) return undefined
  return { traceId: match[1], spanId: match[2], sampled: (Number.parseInt(match[3], 16) & 1) === 1 }
}

/** The header for the next hop. */
export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

/** `tracestate` if every member is well-formed and the whole is within the limits (3.3.1), else undefined. */
export function validTracestate(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_TRACESTATE_CHARS) return undefined
  const members = header.split(',').map((member) => member.trim())
  if (members.length > MAX_TRACESTATE_MEMBERS) return undefined
  return members.every((member) => TRACESTATE_MEMBER.test(member)) ? header : undefined
}
