// Ships the audit log of a slot to a collector: each record at least once, in order, and the newest checkpoint. It runs in the
// background thread of the slot and reads what is on the disk; a call never waits for it. Its memory is one batch.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { GENESIS, openRecord, type Head } from '../../audit/chain.ts'
import { readLinesBackwards } from '../../audit/lines.ts'
import { segmentsIn } from '../../audit/places.ts'
import { readShipped, shippedFile, shippedText, type Shipped } from '../../audit/shipped.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { ChainReader, type PlacedLine } from './chain-reader.ts'
import { createCollector, type Collector } from './collector.ts'
import { deliver, type Pace } from './delivery.ts'
import { checkpointRecord, gapRecord, logRecordOf, type Gap, type LogRecord, type ShippedFrom } from './log-record.ts'
import type { ShippingTarget } from './target.ts'

/**
 * `lagRecords`: records of the log that the collector does not have yet; `oldestUnshippedMs` is the age of the first of them.
 * Since the start: `accepted` by the collector, `rejected` by it for good, `missed` because they were no longer in the log.
 */
export type ShippingStanding = {
  readonly shippedSeq: number
  readonly headSeq: number
  readonly lagRecords: number
  readonly oldestUnshippedMs: number
  readonly lastError: string | null
  readonly accepted: number
  readonly rejected: number
  readonly missed: number
}

export type Shipper = {
  /** Reads the newest record. Rejects with the file system's error. */
  readonly standing: () => Promise<ShippingStanding>
  /** Ships what is left for at most `graceMs`, then ends. The next start goes on where this one stopped. */
  readonly close: (graceMs?: number) => Promise<void>
}

export type ShipperOptions = {
  /** The folder of the slot. */
  readonly folder: string
  readonly slot: number
  readonly target: ShippingTarget
  readonly from: ShippedFrom
  readonly now: () => number
  /** From 0 to below 1. */
  readonly random: () => number
  readonly log: Readonly<Record<'info' | 'warn', (fields: object, message: string) => void>>
  /** The number of the last record that is on the disk. Default: every record in the file is. */
  readonly durableSeq?: () => number
  readonly pace?: Partial<Pace>
}

const PACE: Pace = { idleMs: 500, firstRetryMs: 1000, maxRetryMs: 60_000 }
const BATCH = { records: 512, bytes: 1024 * 1024 }
const CHECKPOINT = 'checkpoint'
const CURSOR_MODE = 0o600

/** Starts to ship, from the record after the last that was acknowledged. Never throws: what is wrong is logged and tried again. */
export function startShipper(options: ShipperOptions): Shipper {
  const shipping = new Shipping(options)
  const ended = shipping.run()
  return {
    standing: () => shipping.standing(),
    async close(graceMs = 0) {
      await shipping.end(graceMs)
      await ended
    },
  }
}

class Shipping {
  readonly #options: ShipperOptions
  readonly #pace: Pace
  readonly #reader: ChainReader
  readonly #collector: Collector
  readonly #fault = createReportedFault()
  /** `ending`: no pauses, until nothing is left or something fails. `ended`: at once. */
  readonly #ending = new AbortController()
  readonly #ended = new AbortController()
  #shipped: Shipped | undefined
  #sentNote = ''
  #pendingSinceMs: number | undefined
  #counts = { accepted: 0, rejected: 0, missed: 0 }

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#pace = { ...PACE, ...options.pace }
    this.#reader = new ChainReader(options.folder, options.durableSeq ?? (() => Number.MAX_SAFE_INTEGER))
    this.#collector = createCollector(options.target, options.now)
  }

  async run(): Promise<void> {
    let isAtPlace = false
    while (!this.#ended.signal.aborted) {
      try {
        if (!isAtPlace) await this.#resume()
        isAtPlace = true
        const lines = await this.#reader.next(BATCH)
        isAtPlace = lines !== undefined
        if (lines !== undefined && !(await this.#ship(lines)) && this.#ending.signal.aborted) break
      } catch (cause: unknown) {
        isAtPlace = false
        this.#failed(messageOf(cause))
        if (this.#ending.signal.aborted) break
        await this.#pause(this.#pace.firstRetryMs)
      }
    }
    // Nobody waits for `run` before the end: it must not reject.
    await Promise.allSettled([this.#reader.close(), this.#collector.close()])
  }

  async end(graceMs: number): Promise<void> {
    this.#ending.abort()
    if (graceMs <= 0) this.#ended.abort()
    else setTimeout(() => this.#ended.abort(), graceMs).unref()
    await Promise.resolve()
  }

  async standing(): Promise<ShippingStanding> {
    const { seq: headSeq } = await headOf(this.#options.folder)
    const shippedSeq = this.#shipped?.seq ?? 0
    const lagRecords = Math.max(0, headSeq - shippedSeq)
    const since = this.#pendingSinceMs
    return {
      shippedSeq,
      headSeq,
      lagRecords,
      oldestUnshippedMs: lagRecords === 0 || since === undefined ? 0 : Math.max(0, this.#options.now() - since),
      lastError: this.#fault.current() ?? null,
      ...this.#counts,
    }
  }

  /** To the last shipped record; else to the end of the segment before its own; else to the beginning of the log. */
  async #resume(): Promise<void> {
    const { folder, slot, log } = this.#options
    const shipped = (this.#shipped ??= await readShipped(folder))
    if ((await this.#reader.resume(shipped, shipped?.position)) || shipped === undefined) return
    const before = shipped.before
    const isThere = before !== null && (await this.#reader.resume(before))
    log.warn(
      { event: 'audit_ship_place_lost', slot, seq: shipped.seq, from_seq: isThere ? before.seq + 1 : 1 },
      'the record that was shipped last is not in the audit log any more; what follows from_seq is shipped again',
    )
    if (!isThere) await this.#reader.resume(undefined)
    this.#shipped = isThere ? { ...before, position: 0, before: null } : undefined
    // Until something is acknowledged, nothing that is shipped again may be taken for shipped.
    if (this.#shipped === undefined) await rm(shippedFile(folder), { force: true })
    else await replaceFile(shippedFile(folder), shippedText(this.#shipped), CURSOR_MODE)
  }

  /** @returns whether there may be more at once */
  async #ship(lines: readonly PlacedLine[]): Promise<boolean> {
    const note = await this.#newNote()
    if (lines.length === 0 && note === undefined) {
      this.#pendingSinceMs = undefined
      await this.#pause(this.#pace.idleMs)
      return false
    }
    const observedMs = this.#options.now()
    this.#pendingSinceMs = timeOf(lines) ?? this.#pendingSinceMs
    this.#countMissed(lines)
    const origin = { slot: this.#options.slot, observedMs }
    const records = lines.flatMap((line) => [
      ...(line.gap === undefined ? [] : [gapRecord(line.gap, origin)]),
      logRecordOf(line, origin),
    ])
    if (note !== undefined) records.push(checkpointRecord(note, origin))
    if (!(await this.#deliver(records))) return false
    await this.#acknowledged(lines, note)
    if (!isFull(lines)) await this.#pause(this.#pace.idleMs)
    return true
  }

  async #deliver(records: readonly LogRecord[]): Promise<boolean> {
    const { from, random } = this.#options
    const rejectedBefore = this.#counts.rejected
    const isDone = await deliver(records, {
      collector: this.#collector,
      from,
      random,
      pace: this.#pace,
      // While it ends, the first failure is the last attempt.
      signal: this.#ended.signal,
      onFailed: (error) => {
        this.#failed(error)
        if (this.#ending.signal.aborted) this.#ended.abort()
      },
      onRejected: (rejected, count, reason) => this.#rejected(rejected, count, reason),
    })
    if (isDone) this.#counts.accepted += records.length - (this.#counts.rejected - rejectedBefore)
    return isDone
  }

  async #acknowledged(lines: readonly PlacedLine[], note: string | undefined): Promise<void> {
    const { folder, slot, log } = this.#options
    if (this.#fault.end()) log.info({ event: 'audit_ship_resumed', slot }, 'the audit log is shipped again')
    this.#sentNote = note ?? this.#sentNote
    this.#pendingSinceMs = undefined
    const last = lines.findLast(({ record }) => record !== undefined)
    if (last?.record === undefined) return
    const { seq, hash } = last.record
    this.#shipped = { seq, hash, position: last.at, before: last.before }
    // Without it, a restart ships again what the collector has, and retention keeps it: no reason to stop.
    await replaceFile(shippedFile(folder), shippedText(this.#shipped), CURSOR_MODE).catch((cause: unknown) => {
      this.#failed(`${shippedFile(folder)} cannot be written: ${messageOf(cause)}`)
    })
  }

  /** Records that were removed, or moved away, before they were shipped. */
  #countMissed(lines: readonly PlacedLine[]): void {
    const { slot, log } = this.#options
    let before = this.#shipped?.seq
    for (const { record, gap } of lines) {
      if (gap !== undefined) this.#sayDamage(gap)
      if (record === undefined) continue
      const missed = before === undefined ? 0 : record.seq - before - 1
      before = record.seq
      if (missed <= 0) continue
      this.#counts.missed += missed
      log.warn(
        { event: 'audit_ship_gap', slot, records: missed, next_seq: record.seq },
        'records were no longer in the audit log when they were to be shipped',
      )
    }
  }

  #sayDamage({ file, firstSeq, lastSeq, reason }: Gap): void {
    this.#options.log.warn(
      {
        event: 'audit_segment_damaged',
        slot: this.#options.slot,
        file,
        first_seq: firstSeq,
        last_seq: lastSeq,
        reason,
      },
      'a segment of the audit log is damaged; what follows it is shipped, with a record of what is missing',
    )
  }

  /** The checkpoint, if it is another one than the last that was shipped. */
  async #newNote(): Promise<string | undefined> {
    const file = join(this.#options.folder, CHECKPOINT)
    const note = await readFile(file, 'utf8').catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw cause
    })
    return note === '' || note === this.#sentNote ? undefined : note
  }

  #rejected(records: readonly LogRecord[], count: number, reason: string): void {
    this.#counts.rejected += count
    const seqs = records.flatMap(({ attributes }) => attributes.filter(({ key }) => key === 'crank.audit.seq'))
    const [first, last] = [seqs[0], seqs.at(-1)].map((it) =>
      it !== undefined && 'intValue' in it.value ? Number(it.value.intValue) : null,
    )
    this.#options.log.warn(
      {
        event: 'audit_ship_rejected',
        slot: this.#options.slot,
        records: count,
        first_seq: first,
        last_seq: last,
        reason,
      },
      'the collector rejected records of the audit log; they are not sent again',
    )
  }

  #failed(reason: string): void {
    if (!this.#fault.isNews(reason)) return
    const { slot, log } = this.#options
    log.warn({ event: 'audit_ship_failed', slot, reason }, 'the audit log cannot be shipped; it is tried again')
  }

  async #pause(ms: number): Promise<void> {
    if (this.#ending.signal.aborted) return
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => undefined)
  }
}

/** The newest record of the slot. */
async function headOf(folder: string): Promise<Head> {
  for (const { file } of segmentsIn(folder).reverse()) {
    for await (const text of readLinesBackwards(file)) {
      const record = openRecord(text)
      if (typeof record === 'object') return record
    }
  }
  return GENESIS
}

function isFull(lines: readonly PlacedLine[]): boolean {
  return lines.length >= BATCH.records || lines.reduce((sum, { text }) => sum + text.length, 0) >= BATCH.bytes
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function timeOf(lines: readonly PlacedLine[]): number | undefined {
  const first = lines.find(({ record }) => record !== undefined)
  const ms = Date.parse(first?.record?.timestamp ?? '')
  return Number.isNaN(ms) ? undefined : ms
}
