// Whether spans reach the collector: every change of that is one line in the log, and every span that is lost is counted.
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { TracingLog } from './tracing-port.ts'

export type ExportHealth = {
  /** Takes a span that has ended into the queue. False: there is no room, and it is lost. */
  readonly admit: () => boolean
  readonly delivered: (count: number) => void
  /** A batch could not be sent and will be tried again. */
  readonly held: (reason: string) => void
  /** A batch is given up. */
  readonly givenUp: (count: number, reason: string) => void
  /** The collector took a batch and threw `count` of its spans away. */
  readonly thrownAway: (count: number) => void
  /** From now on spans that are lost are reported together, by `end`. */
  readonly closing: () => void
  /** What is still waiting is lost. `reason`: why, if nothing was given up before. */
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
  /** While it fails: how many were lost before. */
  let failingFrom: number | undefined
  let closingFrom: number | undefined

  // A span ends, and a batch is sent, inside of some request: its ids have no business on these lines.
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
      // Half empty, so that a collector that is merely slow is not reported with every batch.
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
