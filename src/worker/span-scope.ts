// Makes a call's span the active one while its handler runs, so that log lines and spans of the handler belong to it.
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Span, type Tracer } from '@opentelemetry/api'
import { startSpan } from '../platform/tracing/tracing.ts'
import type { InSpan } from './handler.ts'

export function activeIn<T>(span: Span, run: () => T): T {
  return context.with(trace.setSpan(ROOT_CONTEXT, span), run)
}

/** Creates spans for a handler, as children of `parent` or of the active span of the handler. */
export function createInSpan(tracer: Tracer, parent: Span): InSpan {
  return async (name, run) => {
    const span = startSpan(tracer, name, SpanKind.INTERNAL, trace.getActiveSpan() ?? parent)
    try {
      return await activeIn(span, run)
    } catch (error: unknown) {
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  }
}

/** The same for a generator: each step runs in the context of the reader that requests the next value. */
export function eventsIn<T>(span: Span, source: AsyncIterable<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]()
      const close = iterator.return?.bind(iterator)
      return {
        next: () => activeIn(span, () => iterator.next()),
        ...(close !== undefined && { return: () => activeIn(span, () => close()) }),
      }
    },
  }
}
