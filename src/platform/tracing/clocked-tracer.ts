// A tracer whose spans take their times from the span clock; all spans of one call use the same setting of it.
import { context, trace } from '@opentelemetry/api'
import type { Context, Span, SpanOptions, Tracer } from '@opentelemetry/api'
import type { SpanTime } from './span-clock.ts'

export const TIME = Symbol('time of the call')
export type ClockedSpan = Span & { [TIME]?: SpanTime }

/** `now` returns the clock in its current setting. A span below a span of this process uses that span's clock. */
export function createClockedTracer(tracer: Tracer, now: () => SpanTime): Tracer {
  const startSpan = (name: string, options?: SpanOptions, parent: Context = context.active()): Span => {
    const above: ClockedSpan | undefined = options?.root === true ? undefined : trace.getSpan(parent)
    const time = above?.[TIME] ?? now()
    const span: ClockedSpan = tracer.startSpan(name, { ...options, startTime: options?.startTime ?? time() }, parent)
    if (!span.isRecording()) return span
    const end = span.end.bind(span)
    span[TIME] = time
    span.end = (at) => end(at ?? time())
    return span
  }
  // The overloads of startActiveSpan put the function last, after optional options and context.
  const startActiveSpan = (name: string, ...rest: unknown[]): unknown => {
    const run = rest.pop() as (span: Span) => unknown
    const [options, parent = context.active()] = rest as [SpanOptions?, Context?]
    const span = startSpan(name, options, parent)
    return context.with(trace.setSpan(parent, span), run, undefined, span)
  }
  return { startSpan, startActiveSpan }
}

/** Now, for `span.end`; undefined for a span that is not recorded. */
export function timeIn(span: Span): number | undefined {
  return (span as ClockedSpan)[TIME]?.()
}
