// Makes a call's span the active one while its handler runs, so that log lines and spans of the handler hang below it.
import { context, ROOT_CONTEXT, trace, type Span } from '@opentelemetry/api'

export function activeIn<T>(span: Span, run: () => T): T {
  return context.with(trace.setSpan(ROOT_CONTEXT, span), run)
}

/** The same for a generator: each of its steps runs in the context of whoever asks for the next value. */
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
