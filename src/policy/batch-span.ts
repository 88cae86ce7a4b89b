// On the path of every call. The trace that goes with a question to an engine. A recorded question that is asked together
// with others links to the span of their batch, so that its trace shows who evaluated it.
import { SpanKind, type Span, type Tracer } from '@opentelemetry/api'
import type { AskedTrace, RecordedSpan } from '../core/decision.ts'
import { toSpanContext } from '../platform/tracing/span-ids.ts'
import { onwardTrace, startSpan, traceContextOf } from '../platform/tracing/tracing.ts'

/** For `Decide`; null without a known trace. `span`: of the question. */
export function askedTrace(tracer: Tracer, span: Span): AskedTrace | null {
  const trace = onwardTrace(span) ?? null
  return trace === null || !span.isRecording() ? trace : { ...trace, recorded: recordedSpan(tracer, span) }
}

function recordedSpan(tracer: Tracer, span: Span): RecordedSpan {
  return {
    startBatch(size) {
      const batch = startSpan(tracer, 'policy.evaluate_batch', SpanKind.CLIENT, span, { 'policy.batch_size': size })
      return { trace: traceContextOf(batch), end: () => batch.end() }
    },
    linkTo: (batch) => span.addLink({ context: toSpanContext(batch) }),
  }
}
