// On the path of every call. The headers that cross the controller, by allow list: they are built for each hop and never
// copied, so that a caller cannot inject one.
import type { Capability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import { formatIdempotencyKey } from '../../core/idempotency-key.ts'
import { HEADERS } from '../../core/wire.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'

/** What the worker learns about the call, besides its body. */
type RequestFacts = {
  readonly capability: Capability
  readonly caller: SpiffeId
  readonly decisionId: string
  readonly tracestate: string | undefined
  readonly contentType: string
  readonly idempotencyKey: string | undefined
  readonly lastEventId: string | undefined
  readonly priority: Priority
}

/** Values of this hop only: the remaining time, and the parent of the worker's span, if spans are exported. */
type HopFacts = {
  readonly timeoutMs: number
  readonly traceparent: string | undefined
  /** For the calls that the worker makes on behalf of this one. */
  readonly chain: string
}

/** The headers of `POST /execute` as the flat list that undici takes. */
export function requestHeaders(facts: RequestFacts, hop: HopFacts): string[] {
  const headers = [
    HEADERS.capability,
    facts.capability,
    HEADERS.caller,
    facts.caller,
    HEADERS.crankDecisionId,
    facts.decisionId,
    HEADERS.deadlineMs,
    String(hop.timeoutMs),
    HEADERS.chain,
    hop.chain,
    HEADERS.priority,
    facts.priority,
    'content-type',
    facts.contentType,
    'accept-encoding',
    'identity',
  ]
  if (hop.traceparent !== undefined) headers.push(HEADERS.traceparent, hop.traceparent)
  if (facts.tracestate !== undefined) headers.push(HEADERS.tracestate, facts.tracestate)
  if (facts.lastEventId !== undefined) headers.push(HEADERS.lastEventId, facts.lastEventId)
  if (facts.idempotencyKey !== undefined) {
    headers.push(HEADERS.idempotencyKey, formatIdempotencyKey(facts.idempotencyKey))
  }
  return headers
}

const PASSED_ON = new Set([
  'content-type',
  'content-length',
  'content-language',
  'content-disposition',
  'cache-control',
  'etag',
  'last-modified',
  'retry-after',
])

/**
 * The headers of a worker's answer that a caller may see, as a flat list that begins with the worker's id. Keeps only the
 * first of a repeated header.
 */
export function answerHeaders(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  workerId: string,
): string[] {
  const passed: string[] = [HEADERS.workerId, workerId]
  for (const name in headers) {
    if (!PASSED_ON.has(name)) continue
    // Not allowed with 204 (RFC 9110, 8.6): a caller would wait for a body.
    if (status === 204 && name === 'content-length') continue
    const value = headers[name]
    const first = Array.isArray(value) ? value[0] : value
    if (first !== undefined) passed.push(name, first)
  }
  return passed
}

/**
 * Why the end of this answer could not be distinguished from a broken connection, or undefined: an answer needs a length, or
 * the transfer coding "chunked" and no other. 204 ends with its headers.
 */
export function framingFault(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  const length = headers['content-length']
  const coding = headers['transfer-encoding']
  if (status === 204) return undefined
  if (coding === undefined) return length === undefined ? 'the worker sent an answer without a length' : undefined
  const isChunked = typeof coding === 'string' && coding.toLowerCase() === 'chunked' && length === undefined
  return isChunked ? undefined : 'the worker sent an answer in a transfer coding that is not "chunked"'
}

/** True when the worker compressed its answer although it was asked not to. */
export function isEncoded(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding !== 'identity'
}
