// A tracer without an SDK: its spans record nothing, but carry real ids and continue the parent's trace.
import { context, isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api'
import type { Context, Span, SpanContext, SpanOptions, Tracer } from '@opentelemetry/api'
import { randomHex } from '../core/ids.ts'

const TRACE_ID_BYTES = 16
const SPAN_ID_BYTES = 8

/** `spanBelow` is for the hot path: a span by its parent's ids alone, without a context that would have to be made. */
export type LightTracer = Tracer & { readonly spanBelow: (parent: SpanContext | undefined) => Span }

export function isLightTracer(tracer: Tracer): tracer is LightTracer {
  return 'spanBelow' in tracer
}

/** Spans keep the parent's trace id and sampled flag; a root is sampled, so that those behind us may record. */
export function createLightTracer(): LightTracer {
  const startSpan = (_name: string, options?: SpanOptions, parent: Context = context.active()): Span => {
    const above = options?.root === true ? undefined : trace.getSpanContext(parent)
    return spanBelow(above !== undefined && isSpanContextValid(above) ? above : undefined)
  }
  // The overloads of startActiveSpan put the function last, after optional options and context.
  const startActiveSpan = (name: string, ...rest: unknown[]): unknown => {
    const run = rest.pop() as (span: Span) => unknown
    const [options, parent = context.active()] = rest as [SpanOptions?, Context?]
    const span = startSpan(name, options, parent)
    return context.with(trace.setSpan(parent, span), run, undefined, span)
  }
  return { startSpan, startActiveSpan, spanBelow }
}

function spanBelow(parent: SpanContext | undefined): Span {
  return trace.wrapSpanContext(parent === undefined ? root() : childOf(parent))
}

function root(): SpanContext {
  return { traceId: randomHex(TRACE_ID_BYTES), spanId: randomHex(SPAN_ID_BYTES), traceFlags: TraceFlags.SAMPLED }
}

function childOf({ traceId, traceFlags, traceState }: SpanContext): SpanContext {
  const child: SpanContext = { traceId, spanId: randomHex(SPAN_ID_BYTES), traceFlags }
  return traceState === undefined ? child : { ...child, traceState }
}
