// A collector of logs as a destination: one request at a time, so that the order stays. What the collector has is known from the
// place on the disk alone.
import type { Shipped } from '../../audit/shipped.ts'
import type { ChainReader } from './chain-reader.ts'
import { createCollector } from './collector.ts'
import { deliver } from './delivery.ts'
import type { Batch, Delivery, DeliveryOptions, Destination, Rejection, ShipLog } from './destination.ts'
import { checkpointRecord, gapRecord, logRecordOf, type LogRecord, type ShippedFrom } from './log-record.ts'
import type { Pace } from './pace.ts'
import type { ShippingTarget } from './target.ts'

type OtlpOptions = {
  readonly slot: number
  readonly target: ShippingTarget
  readonly from: ShippedFrom
  readonly pace: Pace
  readonly now: () => number
  /** From 0 to below 1. */
  readonly random: () => number
  readonly log: ShipLog
}

export function createOtlpDestination(options: OtlpOptions): Destination {
  const { slot, target, from, pace, now, random } = options
  const collector = createCollector(target, now)
  return {
    name: 'otlp',
    takesCheckpoints: true,
    resume: (reader, shipped) => resume(reader, shipped, options),
    async deliver({ lines, note, observedMs }: Batch, delivery: DeliveryOptions): Promise<Delivery> {
      const { signal, onFailed } = delivery
      const origin = { slot, observedMs }
      const records = lines.flatMap((line) => [
        ...(line.gap === undefined ? [] : [gapRecord(line.gap, origin)]),
        logRecordOf(line, origin),
      ])
      if (note !== undefined) records.push(checkpointRecord(note, origin))
      const onRejected = (rejected: readonly LogRecord[], count: number, reason: string): void =>
        delivery.onRejected(rejectionOf(rejected, count, reason))
      const isDone = await deliver(records, { collector, from, random, pace, signal, onFailed, onRejected })
      return isDone ? 'done' : 'ended'
    },
    close: collector.close,
  }
}

/** To the last shipped record; else to the end of the segment before its own; else to the beginning of the log. */
async function resume(
  reader: ChainReader,
  shipped: Shipped | undefined,
  { slot, log }: OtlpOptions,
): Promise<Shipped | undefined> {
  if ((await reader.resume(shipped, shipped?.position)) || shipped === undefined) return shipped
  const before = shipped.before
  const isThere = before !== null && (await reader.resume(before))
  log.warn(
    { event: 'audit_ship_place_lost', slot, target: 'otlp', seq: shipped.seq, from_seq: isThere ? before.seq + 1 : 1 },
    'the record that was shipped last is not in the audit log any more; what follows from_seq is shipped again',
  )
  if (isThere) return { ...before, position: 0, before: null }
  await reader.resume(undefined)
  return undefined
}

function rejectionOf(rejected: readonly LogRecord[], count: number, reason: string): Rejection {
  const seqs = rejected.flatMap(({ attributes }) => attributes.filter(({ key }) => key === 'crank.audit.seq'))
  const [firstSeq = null, lastSeq = null] = [seqs[0], seqs.at(-1)].map((it) =>
    it !== undefined && 'intValue' in it.value ? Number(it.value.intValue) : null,
  )
  return { count, firstSeq, lastSeq, reason }
}
