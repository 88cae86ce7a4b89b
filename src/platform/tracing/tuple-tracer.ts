// On the path of every call. The tracer of a process that exports spans: those with a known parent, which are the spans of a
// call, are light (`tuple-span.ts`); all others, such as those of instrumentations, are the SDK's.
import { isSpanContextValid, ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api'
import type { Context, Span, SpanContext, Tracer } from '@opentelemetry/api'
import { SamplingDecision, type Sampler, type SamplingResult } from '@opentelemetry/sdk-trace'
import { randomHex } from '../../core/ids.ts'
import type { TraceContext } from '../../core/trace-context.ts'
import { TIME, type ClockedSpan } from './clocked-tracer.ts'
import type { SpanTime } from './span-clock.ts'
import { RANDOM, toSpanContext } from './span-ids.ts'
import type { DirectTracer, SpanBelow } from './tracing-port.ts'
import { TupleSpan, type SpanHome } from './tuple-span.ts'

type TupleTracerOptions = {
  /** The tracer of the SDK, with our clock. */
  readonly tracer: Tracer
  readonly sampler: Sampler
  /** The clock in its current setting. */
  readonly now: () => SpanTime
  readonly home: Omit<SpanHome, 'bounds'>
}

const TRACE_ID_BYTES = 16
const SPAN_ID_BYTES = 8
const RECORDED: SamplingResult = { decision: SamplingDecision.RECORD_AND_SAMPLED }
/** Samplers by their own descriptions: below a recorded span of this process, these record every span. */
const CHILDREN_FOLLOW = /^(AlwaysOnSampler|TraceIdRatioBased\{|ParentBased\{.*localParentSampled=AlwaysOnSampler)/

export function createTupleTracer({ tracer, sampler, now, home: given }: TupleTracerOptions): DirectTracer {
  const { attributeCountLimit: maxCount, attributeValueLengthLimit: maxChars } = given.limits
  const childrenFollow = CHILDREN_FOLLOW.test(sampler.toString())
  const home = { ...given, bounds: { maxCount, maxChars } }
  const spanBelow: SpanBelow = (parent, name, kind, given) => {
    const above = parentIds(parent)
    const traceId = above?.traceId ?? randomHex(TRACE_ID_BYTES)
    const sampled =
      childrenFollow && parent instanceof TupleSpan
        ? RECORDED
        : sampler.shouldSample(contextOf(above), traceId, name, kind, given ?? {}, [])
    const isSampled = sampled.decision === SamplingDecision.RECORD_AND_SAMPLED
    const traceState = sampled.traceState ?? above?.traceState
    const ids = {
      traceId,
      spanId: randomHex(SPAN_ID_BYTES),
      traceFlags: (isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE) | ((above?.traceFlags ?? 0) & RANDOM),
      ...(traceState !== undefined && { traceState }),
    }
    if (!isSampled) return trace.wrapSpanContext(ids)
    const attributes = sampled.attributes === undefined ? given : { ...given, ...sampled.attributes }
    return new TupleSpan({ name, kind, ids, parent: above, time: timeOf(parent) ?? now(), attributes }, home)
  }
  return {
    startSpan: tracer.startSpan.bind(tracer),
    startActiveSpan: tracer.startActiveSpan.bind(tracer),
    spanBelow,
  }
}

function contextOf(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
}

/** Undefined: a new trace begins. */
function parentIds(parent: Span | TraceContext | undefined): SpanContext | undefined {
  if (parent === undefined) return undefined
  if (!('spanContext' in parent)) return toSpanContext(parent)
  const ids = parent.spanContext()
  return parent instanceof TupleSpan || isSpanContextValid(ids) ? ids : undefined
}

/** A span below another of this process uses the clock of that one. */
function timeOf(parent: Span | TraceContext | undefined): SpanTime | undefined {
  return parent === undefined ? undefined : (parent as ClockedSpan)[TIME]
}
