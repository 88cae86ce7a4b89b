// Whether spans reach the collector: logs one line per change, and counts every lost span.
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { TracingLog } from './tracing-port.ts'

export type ExportHealth = {
  /** Takes a finished span into the queue. False: there is no room, and the span is lost. */
  readonly admit: () => boolean
  readonly delivered: (count: number) => void
  /** A batch could not be sent and will be tried again. */
  readonly held: (reason: string) => void
  /** A batch is given up. */
  readonly givenUp: (count: number, reason: string) => void
  /** The collector accepted a batch but rejected `count` of its spans. */
  readonly thrownAway: (count: number) => void
  /** From now on lost spans are reported together, by `end`. */
  readonly closing: () => void
  /** The waiting spans are lost. `reason`: the cause, if no batch was given up before. */
  readonly end: (reason: string) => void
  readonly isFailing: () => boolean
}

type ExportHealthOptions = {
  readonly log: TracingLog
  readonly onLost: (count: number) => void
  readonly maxWaiting: number
}

export function createExportHealth({ log, onLost, maxWaiting }: ExportHealthOptions): ExportHealth {
  let waiting = 0
  let lost = 0
  let lastReason: string | undefined
  /** While the export fails: how many spans had been lost before. */
  let failingFrom: number | undefined
  let closingFrom: number | undefined

  // A span ends, or a batch is sent, inside some request: its ids do not belong on these lines.
  const say = (level: 'info' | 'warn', fields: object, message: string): void => {
    context.with(ROOT_CONTEXT, () => log[level](fields, message))
  }
  const fails = (reason: string): void => {
    lastReason = reason
    if (failingFrom !== undefined || closingFrom !== undefined) return
    failingFrom = lost
    const fields = { event: 'span_export_failed', reason, waiting, max_waiting: maxWaiting }
    say('warn', fields, 'spans cannot be delivered; they wait, and are lost when the queue is full')
  }
  const lose = (count: number): void => {
    lost += count
    onLost(count)
  }

  return {
    admit() {
      if (waiting < maxWaiting) {
        waiting += 1
        return true
      }
      fails(`the queue of ${maxWaiting} spans is full`)
      lose(1)
      return false
    },
    delivered(count) {
      waiting -= count
      // Only when the queue is half empty, so that a slow collector is not reported with every batch.
      if (failingFrom === undefined || waiting > maxWaiting / 2 || closingFrom !== undefined) return
      say('info', { event: 'span_export_recovered', lost: lost - failingFrom, waiting }, 'spans are delivered again')
      failingFrom = undefined
    },
    held: fails,
    givenUp(count, reason) {
      waiting -= count
      fails(reason)
      lose(count)
    },
    thrownAway: lose,
    closing() {
      closingFrom = lost
    },
    end(reason) {
      if (waiting > 0) lose(waiting)
      waiting = 0
      const count = lost - (closingFrom ?? lost)
      if (count === 0) return
      const fields = { event: 'span_export_incomplete', reason: lastReason ?? reason, lost: count }
      say('warn', fields, 'the last spans were not sent')
    },
    isFailing: () => failingFrom !== undefined,
  }
}
