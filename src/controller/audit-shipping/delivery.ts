// Delivers a batch until the collector has acknowledged each record of it. What the collector refuses is divided, until the one
// record is found that it does not take: one bad record must not hold up all that follow.
import { setTimeout as delay } from 'node:timers/promises'
import type { Answer, Collector } from './collector.ts'
import { exportRequest, type LogRecord, type ShippedFrom } from './log-record.ts'
import { retryPauseMs, type Pace } from './pace.ts'

type DeliveryOptions = {
  readonly collector: Collector
  readonly from: ShippedFrom
  readonly pace: Pace
  readonly random: () => number
  /** Aborted: no further attempt. */
  readonly signal: AbortSignal
  readonly onFailed: (error: string) => void
  /** The collector will never have these. */
  readonly onRejected: (records: readonly LogRecord[], rejected: number, reason: string) => void
}

/**
 * Never rejects.
 * @returns whether the collector has taken or finally rejected every record; false when `signal` ended it
 */
export async function deliver(records: readonly LogRecord[], options: DeliveryOptions): Promise<boolean> {
  const { collector, from, signal, onFailed, onRejected } = options
  for (let attempt = 0; !signal.aborted; attempt++) {
    const answer = await collector.post(exportRequest(records, from), signal)
    if (answer.kind === 'accepted') {
      if (answer.rejected > 0) onRejected(records, Math.min(answer.rejected, records.length), answer.message)
      return true
    }
    if (answer.kind === 'refused') {
      if (records.length > 1) return deliverHalves(records, options)
      if (await takesOthers(options)) {
        onRejected(records, 1, answer.error)
        return true
      }
    }
    onFailed(answer.error)
    await delay(pauseMs(answer, attempt, options), undefined, { signal }).catch(() => undefined)
  }
  return false
}

/** One after the other: the order is kept. */
async function deliverHalves(records: readonly LogRecord[], options: DeliveryOptions): Promise<boolean> {
  const half = Math.ceil(records.length / 2)
  return (await deliver(records.slice(0, half), options)) && (await deliver(records.slice(half), options))
}

/** An address that refuses even a request without records is not a collector for logs: then no record is at fault. */
async function takesOthers({ collector, from, signal }: DeliveryOptions): Promise<boolean> {
  return (await collector.post(exportRequest([], from), signal)).kind === 'accepted'
}

/** Not before the time that the collector asked for. */
function pauseMs(answer: Answer, attempt: number, { pace, random }: DeliveryOptions): number {
  const asked = answer.kind === 'failed' ? answer.retryAfterMs : 0
  return Math.max(asked, retryPauseMs(attempt, pace, random()))
}
