// Converts between our trace context and OpenTelemetry's.
import { TraceFlags, type SpanContext } from '@opentelemetry/api'
import type { TraceContext } from '../../core/trace-context.ts'

/** The trace id is random (Trace Context level 2). OpenTelemetry passes the flag on, but has no name for it. */
export const RANDOM = 2

export function toTraceContext({ traceId, spanId, traceFlags }: SpanContext): TraceContext {
  const sampled = (traceFlags & TraceFlags.SAMPLED) !== 0
  return (traceFlags & RANDOM) === 0 ? { traceId, spanId, sampled } : { traceId, spanId, sampled, random: true }
}

export function toSpanContext({ traceId, spanId, sampled, random }: TraceContext): SpanContext {
  const traceFlags = (sampled ? TraceFlags.SAMPLED : TraceFlags.NONE) | (random === true ? RANDOM : 0)
  return { traceId, spanId, traceFlags, isRemote: true }
}
