// Ships the audit log of a slot to one destination: each record at least once, in order. It runs in the background thread of the
// slot and reads what is on the disk; a call never waits for it. Its memory is one batch.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { headIn } from '../../audit/head-in.ts'
import { readShipped, shippedFile, shippedText, type Shipped, type ShippedTo } from '../../audit/shipped.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { ChainReader, type PlacedLine } from './chain-reader.ts'
import type { Batch, Delivery, Destination, Rejection, ShipLog } from './destination.ts'
import { retryPauseMs, type Pace } from './pace.ts'
import type { Gap } from './log-record.ts'

/**
 * `lagRecords`: records of the log that the target does not have yet; `oldestUnshippedMs` is the age of the first of them.
 * Since the start: `accepted` by the target, `rejected` by it for good, `missed` because they were no longer in the log.
 */
export type ShippingStanding = {
  readonly target: ShippedTo
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

type ShipperOptions = {
  /** The folder of the slot. */
  readonly folder: string
  readonly slot: number
  /** Closed with the shipper. */
  readonly destination: Destination
  readonly pace: Pace
  readonly now: () => number
  /** From 0 to below 1. */
  readonly random: () => number
  readonly log: ShipLog
  /** The number of the last record that is on the disk. Default: every record in the file is. */
  readonly durableSeq?: () => number
}

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
  readonly #reader: ChainReader
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
    this.#reader = new ChainReader(options.folder, options.durableSeq ?? (() => Number.MAX_SAFE_INTEGER))
    this.#ended.signal.addEventListener('abort', () => void this.#close())
  }

  async run(): Promise<void> {
    let isAtPlace = false
    for (let failures = 0; !this.#ended.signal.aborted;) {
      try {
        if (!isAtPlace) await this.#resume()
        const lines = await this.#reader.next(BATCH)
        isAtPlace = lines !== undefined
        if (failures > 0) this.#recovered()
        failures = 0
        if (lines === undefined) continue
        const shipped = await this.#ship(lines)
        isAtPlace = shipped !== 'unsure'
        if (shipped === 'idle' && this.#ending.signal.aborted) break
      } catch (cause: unknown) {
        isAtPlace = false
        this.#failed(messageOf(cause))
        this.#pendingSinceMs ??= await this.#oldestWaiting().catch(() => undefined)
        if (this.#ending.signal.aborted) break
        const { pace, random } = this.#options
        await this.#pause(retryPauseMs(failures++, pace, random()))
      }
    }
    // Nobody waits for `run` before the end: it must not reject.
    await Promise.allSettled([this.#reader.close(), this.#close()])
  }

  async end(graceMs: number): Promise<void> {
    this.#ending.abort()
    if (graceMs <= 0) this.#ended.abort()
    else setTimeout(() => this.#ended.abort(), graceMs).unref()
    await Promise.resolve()
  }

  async standing(): Promise<ShippingStanding> {
    const { seq: headSeq } = await headIn(this.#options.folder)
    const shippedSeq = this.#shipped?.seq ?? 0
    const lagRecords = Math.max(0, headSeq - shippedSeq)
    const since = this.#pendingSinceMs
    return {
      target: this.#options.destination.name,
      shippedSeq,
      headSeq,
      lagRecords,
      oldestUnshippedMs: lagRecords === 0 || since === undefined ? 0 : Math.max(0, this.#options.now() - since),
      lastError: this.#fault.current() ?? null,
      ...this.#counts,
    }
  }

  /** To the line after the last that the destination has. */
  async #resume(): Promise<void> {
    const { folder, destination } = this.#options
    const known = (this.#shipped ??= await readShipped(folder, destination.name))
    this.#shipped = await destination.resume(this.#reader, known)
    if (this.#shipped === known) return
    // Until something is acknowledged, nothing that is shipped again may be taken for shipped.
    const file = shippedFile(folder, destination.name)
    if (this.#shipped === undefined) await rm(file, { force: true })
    else await replaceFile(file, shippedText(this.#shipped), CURSOR_MODE)
  }

  /** `idle`: there was nothing to ship. */
  async #ship(lines: readonly PlacedLine[]): Promise<Delivery | 'idle'> {
    const { destination, pace } = this.#options
    const note = destination.takesCheckpoints ? await this.#newNote() : undefined
    if (lines.length === 0 && note === undefined) {
      this.#pendingSinceMs = undefined
      await this.#pause(pace.idleMs)
      return 'idle'
    }
    const observedMs = this.#options.now()
    this.#pendingSinceMs = timeOf(lines) ?? this.#pendingSinceMs
    const delivery = await this.#deliver({ lines, note, observedMs })
    if (delivery !== 'done') return delivery
    await this.#acknowledged(lines, note)
    if (!isFull(lines)) await this.#pause(pace.idleMs)
    return delivery
  }

  async #deliver(batch: Batch): Promise<Delivery> {
    const rejectedBefore = this.#counts.rejected
    const delivery = await this.#options.destination.deliver(batch, {
      // While it ends, the first failure is the last attempt.
      signal: this.#ended.signal,
      onFailed: (error) => {
        this.#failed(error)
        if (this.#ending.signal.aborted) this.#ended.abort()
      },
      onRejected: (rejection) => this.#rejected(rejection),
    })
    const count = batch.lines.length + (batch.note === undefined ? 0 : 1)
    if (delivery === 'done') this.#counts.accepted += count - (this.#counts.rejected - rejectedBefore)
    return delivery
  }

  async #acknowledged(lines: readonly PlacedLine[], note: string | undefined): Promise<void> {
    const { folder, destination } = this.#options
    this.#recovered()
    this.#countMissed(lines)
    this.#sentNote = note ?? this.#sentNote
    this.#pendingSinceMs = undefined
    const last = lines.findLast(({ record }) => record !== undefined)
    if (last?.record === undefined) return
    const { seq, hash } = last.record
    this.#shipped = { seq, hash, position: last.at, before: last.before }
    // Without it, a restart ships again what the collector has, and retention keeps it: no reason to stop.
    const file = shippedFile(folder, destination.name)
    await replaceFile(file, shippedText(this.#shipped), CURSOR_MODE).catch((cause: unknown) => {
      this.#failed(`${file} cannot be written: ${messageOf(cause)}`)
    })
  }

  /** Records that were removed, or moved away, before they were shipped. */
  #countMissed(lines: readonly PlacedLine[]): void {
    const { slot, log, destination } = this.#options
    let before = this.#shipped?.seq
    for (const { record, gap } of lines) {
      if (gap !== undefined) this.#sayDamage(gap)
      if (record === undefined) continue
      const missed = before === undefined ? 0 : record.seq - before - 1
      before = record.seq
      if (missed <= 0) continue
      this.#counts.missed += missed
      log.warn(
        { event: 'audit_ship_gap', slot, target: destination.name, records: missed, next_seq: record.seq },
        'records were no longer in the audit log when they were to be shipped',
      )
    }
  }

  #sayDamage({ file, firstSeq, lastSeq, reason }: Gap): void {
    this.#options.log.warn(
      {
        event: 'audit_segment_damaged',
        slot: this.#options.slot,
        target: this.#options.destination.name,
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

  #rejected({ count, firstSeq, lastSeq, reason }: Rejection): void {
    this.#counts.rejected += count
    const { slot, log, destination } = this.#options
    log.warn(
      {
        event: 'audit_ship_rejected',
        slot,
        target: destination.name,
        records: count,
        first_seq: firstSeq,
        last_seq: lastSeq,
        reason,
      },
      'records of the audit log were rejected for good; they are not sent again',
    )
  }

  async #close(): Promise<void> {
    await this.#options.destination.close().catch(() => undefined)
  }

  #failed(reason: string): void {
    if (!this.#fault.isNews(reason)) return
    const { slot, log, destination } = this.#options
    const fields = { event: 'audit_ship_failed', slot, target: destination.name, reason }
    log.warn(fields, 'the audit log cannot be shipped; it is tried again')
  }

  #recovered(): void {
    const { slot, log, destination } = this.#options
    const fields = { event: 'audit_ship_resumed', slot, target: destination.name }
    if (this.#fault.end()) log.info(fields, 'the audit log is shipped again')
  }

  /** The time of the first record that is not shipped, by the place on the disk. */
  async #oldestWaiting(): Promise<number | undefined> {
    const isThere = await this.#reader.resume(this.#shipped, this.#shipped?.position)
    return isThere ? timeOf((await this.#reader.next({ records: 1, bytes: 1 })) ?? []) : undefined
  }

  async #pause(ms: number): Promise<void> {
    if (this.#ending.signal.aborted) return
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => undefined)
  }
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
