// Who asks the policy about a worker that does not ask itself: one that is remembered from before a restart, or that another
// controller has registered.
import { SpanKind, type Tracer } from '@opentelemetry/api'
import { uuidv7 } from '../../core/ids.ts'
import { startSpan, traceContextOf } from '../../platform/tracing/tracing.ts'
import type { Asker } from '../../policy/verdict.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'

type AskerDeps = { readonly tracer: Tracer; readonly now: () => number }

/** The identity is the one that the worker registered with; a connection to it proves it. The caller ends the span. */
export function askerFor({ spiffeId }: RememberedWorker, span: string, { tracer, now }: AskerDeps): Asker {
  const started = startSpan(tracer, span, SpanKind.INTERNAL, undefined)
  return { decisionId: uuidv7(now()), caller: spiffeId, span: started, trace: traceContextOf(started) }
}
