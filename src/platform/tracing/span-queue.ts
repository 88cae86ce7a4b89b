// Finished spans on their way to the exporter: in batches, one after another.
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'

type SpanQueueOptions = {
  readonly exporter: Pick<SpanExporter, 'export' | 'shutdown'>
  /** Whether there is room for one more span. */
  readonly admit: () => boolean
  /** The largest number of spans in a batch. */
  readonly batch: number
  /** The longest wait of a span, unless a batch before its own is still on its way. */
  readonly delayMs: number
  /** The same under load, which is after a batch that was an eighth full: each batch has a price of its own. */
  readonly busyDelayMs: number
}

export type SpanQueue = {
  readonly add: (span: ReadableSpan) => void
  /** Sends all waiting spans, and resolves when that has ended. */
  readonly flush: () => Promise<void>
  /** The same, and closes the exporter. Spans that are added afterwards are dropped. */
  readonly shutdown: () => Promise<void>
}

const BUSY_PART = 8

export function createSpanQueue({ exporter, admit, batch, delayMs, busyDelayMs }: SpanQueueOptions): SpanQueue {
  /** Whole batches, and the one that is being filled. */
  const full: ReadableSpan[][] = []
  let filling: ReadableSpan[] = []
  let isSending = false
  let isBusy = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let immediate: NodeJS.Immediate | undefined

  const send = (spans: ReadableSpan[]): Promise<void> =>
    new Promise((resolve) => {
      // A span ends inside some request, whose ids do not belong to what the export reports.
      context.with(ROOT_CONTEXT, () => exporter.export(spans, () => resolve()))
    })
  const take = (): ReadableSpan[] => {
    const next = full.shift() ?? filling
    if (next === filling) filling = []
    return next
  }
  const sendNext = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    immediate = undefined
    isSending = true
    const spans = take()
    isBusy = spans.length >= batch / BUSY_PART
    await send(spans)
    isSending = false
    plan()
  }
  const plan = (): void => {
    if (isSending || isClosed) return
    // Not at once: the span that fills a batch ends inside a call.
    if (full.length > 0) immediate ??= setImmediate(() => void sendNext())
    else if (filling.length > 0) timer ??= setTimeout(() => void sendNext(), isBusy ? busyDelayMs : delayMs).unref()
  }
  const flush = async (): Promise<void> => {
    const batches = filling.length === 0 ? full.splice(0) : [...full.splice(0), take()]
    await Promise.all(batches.map(send))
  }

  return {
    add(span) {
      if (!admit() || isClosed) return
      filling.push(span)
      if (filling.length >= batch) {
        full.push(filling)
        filling = []
      }
      plan()
    },
    flush,
    async shutdown() {
      isClosed = true
      clearTimeout(timer)
      clearImmediate(immediate)
      await flush()
      await exporter.shutdown()
    },
  }
}
