// A tracer without an SDK: its spans record nothing, but have real ids and continue the parent's trace. The ids are only for
// logs and the audit record: these spans are never exported, so none may be the parent of the next hop.
import { context, isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api'
import type { Context, Span, SpanContext, SpanOptions } from '@opentelemetry/api'
import { randomHex } from '../../core/ids.ts'
import type { TraceContext } from '../../core/trace-context.ts'
import { toSpanContext, toTraceContext } from './span-ids.ts'
import type { DirectTracer } from './tracing-port.ts'

const TRACE_ID_BYTES = 16
const SPAN_ID_BYTES = 8

/** The context of a span that is never exported. `incoming`: the trace context that the process received and may forward. */
type LightContext = SpanContext & { readonly incoming: TraceContext | undefined }

export function isLightContext(ids: SpanContext): ids is LightContext {
  return 'incoming' in ids
}

/** Its spans keep the parent's trace id and flags. */
export function createLightTracer(): DirectTracer {
  const startSpan = (_name: string, options?: SpanOptions, parent: Context = context.active()): Span => {
    const above = options?.root === true ? undefined : trace.getSpan(parent)
    return spanBelow(above !== undefined && isSpanContextValid(above.spanContext()) ? above : undefined)
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

function spanBelow(parent: Span | TraceContext | undefined): Span {
  if (parent === undefined) return trace.wrapSpanContext(root())
  if (!('spanContext' in parent)) return trace.wrapSpanContext(childOf(toSpanContext(parent), parent))
  const above = parent.spanContext()
  return trace.wrapSpanContext(childOf(above, isLightContext(above) ? above.incoming : toTraceContext(above)))
}

function root(): LightContext {
  const ids = { traceId: randomHex(TRACE_ID_BYTES), spanId: randomHex(SPAN_ID_BYTES) }
  return { ...ids, traceFlags: TraceFlags.SAMPLED, incoming: undefined }
}

function childOf({ traceId, traceFlags }: SpanContext, incoming: TraceContext | undefined): LightContext {
  return { traceId, spanId: randomHex(SPAN_ID_BYTES), traceFlags, incoming }
}
