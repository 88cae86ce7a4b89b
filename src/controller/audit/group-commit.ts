// On the path of every call. Group commit: appends wait in a queue, and one write at a time makes a batch of them durable.
// Records get their number and hash when their batch is written, so a failed batch leaves no gap: none of its records was
// acknowledged.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isoTime } from '../../core/iso-time.ts'
import { within } from '../../platform/within.ts'
import { AppError } from '../../core/errors.ts'
import { BREAKS, isBreak, type SegmentReason } from '../../core/segment-reason.ts'
import type { Logger } from '../../platform/logger.ts'
import { asObserver } from '../../platform/observer.ts'
import { AuditFileError } from './audit-file-error.ts'
import { sealRecord, type Head } from '../../audit/chain.ts'
import { createClockWatch, type ClockWatch } from './clock-watch.ts'
import type { AuditEvent } from '../../audit/event.ts'
import { recordText } from '../../audit/hot-records.ts'
import { openedEvent, recoveredEvent, steppedEvent } from './own-events.ts'
import { Rotations } from './rotations.ts'
import { SegmentLeftError } from './segment-left.ts'
import type { Segments } from './segments.ts'
import { createOutageTracker, type AuditHealth, type Outage, type OutageTracker } from './health.ts'
import { WaitingQueue, type Entry, type Waiting } from './queue.ts'
import { serialiseEvent } from '../../audit/serialise.ts'

export type AuditLog = {
  /**
   * Resolves when the record is durable. A patient record waits for a slow disk as long as necessary, since no call depends
   * on it. One that rides is written with the next record that does not, or after 20 ms: a kill before that loses it.
   * @throws {AppError} `audit_unavailable`: do not rely on the record being written.
   */
  append(event: AuditEvent, options?: Partial<Waiting>): Promise<void>
  /** The same for a record that nobody waits for. `onLost` gets the error instead. */
  note(event: AuditEvent, onLost: (error: AppError) => void, options?: Partial<Waiting>): void
  health(): AuditHealth
  /** Begins a new segment. Resolves with the number of its first record, which is durable. Rejects as `append` does. */
  rotate(): Promise<number>
  /** Refuses records on which something new depends, decisions, for this reason until it is undefined. */
  refuse(reason: string | undefined): void
  /** Refuses new records, waits (bounded) for the queued ones, and releases the file. */
  close(): Promise<void>
}

export type Append = AuditLog['append']
export type Note = AuditLog['note']

export type GroupCommitOptions = {
  readonly segments: Segments
  readonly head: Head
  /** Why the next record begins a new segment; undefined: it is the first of the chain. */
  readonly left: SegmentReason | undefined
  readonly now: () => number
  readonly monotonic: () => number
  readonly log: Logger
  readonly maxQueued: number
  readonly maxWaitMs: number
  /** See AuditLogOptions. */
  readonly onDropped?: ((count: number) => void) | undefined
  readonly onWritten?: ((count: number) => void) | undefined
  readonly onLost?: ((count: number) => void) | undefined
  readonly onSegment?: ((reason: SegmentReason) => void) | undefined
  readonly onHead?: ((head: Head) => void) | undefined
  readonly unlock: () => void
}

/** Building a batch blocks the event loop: about 2 ms for this many. */
const MAX_BATCH = 512
const PROBE_MS = 250
const RIDE_MS = 20
/** The longest time that a write waits for further records; records that come alone do not wait. */
const GATHER_MS = 1
const NOBODY_WAITS = (): void => undefined
/** Records of what has not happened yet; all others are about what has. */
const BEGINS: ReadonlySet<AuditEvent['event']> = new Set(['policy_decision', 'worker_registration'])
/** If the segment is moved repeatedly while one batch is written, that is a failure, not a rotation. */
const MAX_SEGMENTS_PER_BATCH = 3

/** The one writer of a chain. Invariant: `#head` is its last durable record. */
export class GroupCommit implements AuditLog {
  readonly #opts: GroupCommitOptions
  readonly #queue: WaitingQueue
  readonly #outages: OutageTracker
  readonly #clock: ClockWatch
  readonly #told: Record<'onDropped' | 'onWritten' | 'onLost', (count: number) => void>
  #head: Head
  /** Why the previous segment was left, until the record of it is durable. */
  #left: SegmentReason | undefined
  readonly #rotations = new Rotations()
  #segmentNote: string | undefined
  #lastDurableMs: number | undefined
  #flushing = false
  #onIdle: (() => void) | undefined
  #probe: NodeJS.Timeout | undefined
  /** Starts a write for the records that ride; armed once, it serves all that come meanwhile. */
  #ride: NodeJS.Timeout | undefined
  #closed: Promise<void> | undefined
  #refused: string | undefined

  constructor(opts: GroupCommitOptions) {
    const { maxQueued, maxWaitMs, now } = opts
    this.#opts = opts
    this.#head = opts.head
    this.#left = opts.left
    this.#outages = createOutageTracker(now)
    this.#clock = createClockWatch(opts)
    const onExpired = (count: number): void => this.#fail(`no record became durable for ${maxWaitMs} ms`, count)
    this.#told = asObserver({
      onDropped: (count: number) => opts.onDropped?.(count),
      onWritten: (count: number) => opts.onWritten?.(count),
      onLost: (count: number) => opts.onLost?.(count),
    })
    this.#queue = new WaitingQueue({ maxQueued, maxWaitMs, now, onExpired, ...this.#told })
  }

  append(event: AuditEvent, options?: Partial<Waiting>): Promise<void> {
    return new Promise((onDurable, onLost) => this.#add(event, { onDurable, onLost }, options))
  }

  note(event: AuditEvent, onLost: (error: AppError) => void, options?: Partial<Waiting>): void {
    this.#add(event, { onDurable: NOBODY_WAITS, onLost }, options)
  }

  #add(
    event: AuditEvent,
    { onDurable, onLost }: Pick<Entry, 'onDurable' | 'onLost'>,
    { patient = false, rides = false }: Partial<Waiting> = {},
  ): void {
    const lose = (error: AppError): void => {
      this.#told.onLost(1)
      onLost(error)
    }
    if (this.#closed !== undefined) {
      lose(new AppError('audit_unavailable', 'the audit log is closed'))
      return
    }
    if (this.#refused !== undefined && BEGINS.has(event.event)) {
      lose(new AppError('audit_unavailable', this.#refused))
      return
    }
    let members: string
    try {
      members = recordText(event)
    } catch (cause: unknown) {
      lose(new AppError('audit_unavailable', 'the record cannot be written as text', { cause }))
      return
    }
    this.#queue.push({ members, onDurable, onLost, patient, rides })
    if (rides) this.#startRide()
    else this.#startFlush()
  }

  health(): AuditHealth {
    const outage = this.#outages.current()
    const reason = outage?.reason ?? this.#refused ?? this.#segmentNote
    return {
      ok: outage === undefined && this.#refused === undefined,
      ...(reason !== undefined && { reason }),
      queued: this.#queue.length,
      oldestMs: this.#queue.oldestMs(),
      ...(this.#lastDurableMs !== undefined && { lastDurableMs: this.#lastDurableMs }),
      head: this.#head,
    }
  }

  refuse(reason: string | undefined): void {
    const { log } = this.#opts
    const before = this.#refused
    this.#refused = reason
    if (before === undefined && reason !== undefined)
      log.error({ event: 'audit_unavailable', reason }, 'the audit log takes no decisions')
    else if (before !== undefined && reason === undefined)
      log.warn({ event: 'audit_recovered', reason: before }, 'the audit log takes decisions again')
  }

  rotate(): Promise<number> {
    if (this.#closed !== undefined) return Promise.reject(new AppError('audit_unavailable', 'the audit log is closed'))
    const rotated = this.#rotations.add()
    this.#startFlush()
    return rotated
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  /** Begins in the next turn of the event loop: all records of this turn share one write. */
  #startFlush(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => void this.#flush())
  }

  /** Not while a write is under way: its end looks for riders. */
  #startRide(): void {
    if (this.#flushing || this.#ride !== undefined) return
    this.#ride = setTimeout(() => {
      this.#ride = undefined
      this.#startFlush()
    }, RIDE_MS)
  }

  async #flush(): Promise<void> {
    let ok = true
    do {
      await this.#gather()
      ok = await this.#commit(this.#queue.take(MAX_BATCH), this.#outages.current())
    } while (ok && this.#isWriteDue())
    this.#flushing = false
    if (this.#queue.length > 0) this.#startRide()
    this.#onIdle?.()
  }

  /** While each turn of the event loop brings further records they join the batch: a write costs as much CPU as half a call. */
  async #gather(): Promise<void> {
    const { monotonic } = this.#opts
    const endMs = monotonic() + GATHER_MS
    let due = 1
    while (this.#queue.due > due && monotonic() < endMs) {
      due = this.#queue.due
      await nextTurn()
    }
  }

  #isWriteDue(): boolean {
    if (this.#outages.current() !== undefined || this.#queue.due > 0 || this.#rotations.isDue) return true
    return this.#queue.length > (this.#closed === undefined ? MAX_BATCH : 0)
  }

  /**
   * Writes one batch. After an outage, or after a step of the clock, its first record reports that; the outage ends only when
   * that record is durable.
   */
  async #commit(batch: readonly Entry[], outage: Outage | undefined): Promise<boolean> {
    const members = batch.map((record) => record.members)
    if (outage !== undefined) members.unshift(serialiseEvent(recoveredEvent(outage, this.#opts.now())))
    const stepMs = this.#clock.look()
    if (stepMs !== 0) members.unshift(serialiseEvent(steppedEvent(stepMs, this.#opts.now())))
    // What was waiting has expired meanwhile.
    if (members.length === 0 && !this.#rotations.isDue) return true
    try {
      await this.#write(members)
    } catch (cause: unknown) {
      this.#fail(describe(cause), this.#queue.loseAll(cause), cause)
      this.#rotations.fail(cause)
      this.#probeLater()
      return false
    }
    this.#lastDurableMs = this.#opts.now()
    this.#opts.onHead?.(this.#head)
    if (stepMs !== 0) this.#tellStep(stepMs)
    this.#queue.done()
    for (const record of batch) record.onDurable()
    this.#told.onWritten(batch.length)
    if (outage !== undefined) this.#recover(outage)
    return true
  }

  /** Appends to the segment; if a new one is due, or somebody changed this one, its first record says why. */
  async #write(members: readonly string[]): Promise<void> {
    const { segments } = this.#opts
    const isAsked = this.#rotations.take()
    this.#left ??= isAsked ? 'requested' : segments.due()
    for (let tries = 1; ; tries++) {
      const previous = this.#head
      if (this.#left !== undefined) await segments.begin(previous)
      const opened =
        this.#left === undefined ? [] : [serialiseEvent(openedEvent(this.#left, previous, this.#opts.now()))]
      const { bytes, head } = sealBatch(previous, [...opened, ...members])
      try {
        await segments.append(bytes)
        this.#head = head
        if (this.#left !== undefined) this.#tellSegment(this.#left, previous)
        return
      } catch (cause: unknown) {
        if (!(cause instanceof SegmentLeftError) || tries === MAX_SEGMENTS_PER_BATCH) throw cause
        this.#left = cause.reason
      }
    }
  }

  #tellStep(stepMs: number): void {
    this.#clock.told()
    this.#opts.log.warn({ event: 'clock_stepped', step_ms: stepMs }, 'the wall clock was set')
  }

  #tellSegment(reason: SegmentReason, { seq }: Head): void {
    const { log, now, onSegment } = this.#opts
    this.#left = undefined
    this.#rotations.done(seq + 1)
    const fields = { event: 'audit_segment_opened', reason, previous_seq: seq }
    if (isBreak(reason)) {
      this.#segmentNote = `in a new segment since ${isoTime(now())}: ${BREAKS[reason]}`
      log.warn(fields, `the audit log continues in a new segment: ${BREAKS[reason]}`)
    } else log.info(fields, 'the audit log continues in a new segment')
    onSegment?.(reason)
  }

  #fail(reason: string, refused: number, err?: unknown): void {
    if (this.#outages.failed(reason, refused)) {
      this.#opts.log.error({ event: 'audit_unavailable', reason, err }, 'the audit log cannot be written')
    }
  }

  #recover({ reason, sinceMs, refused }: Outage): void {
    this.#outages.recovered()
    const outageMs = this.#opts.now() - sinceMs
    this.#opts.log.warn(
      { event: 'audit_recovered', reason, refused, outage_ms: outageMs },
      'the audit log can be written again',
    )
  }

  /** An append retries at once; this timer retries when there is no append. */
  #probeLater(): void {
    if (this.#closed !== undefined) return
    clearTimeout(this.#probe)
    this.#probe = setTimeout(() => this.#startFlush(), PROBE_MS).unref()
  }

  async #close(): Promise<void> {
    const { unlock, maxWaitMs, segments, log } = this.#opts
    clearTimeout(this.#probe)
    clearTimeout(this.#ride)
    if (this.#queue.length > 0) this.#startFlush()
    if (this.#flushing) {
      const idle = new Promise<void>((resolve) => (this.#onIdle = resolve))
      await within(maxWaitMs, idle)
    }
    this.#queue.loseAll(new Error('the audit log was closed'))
    this.#rotations.close()
    this.#queue.close()
    // A hanging write still uses the descriptor; closing it now could send those bytes into another file.
    if (this.#flushing) return
    await segments
      .close()
      .catch((err: unknown) => log.warn({ event: 'audit_close_failed', err }, 'the last segment is not sealed'))
    unlock()
  }
}

function sealBatch(start: Head, batch: readonly string[]): { bytes: Buffer; head: Head } {
  let head = start
  let text = ''
  for (const members of batch) {
    const sealed = sealRecord(head, members)
    text += sealed.line
    head = sealed.head
  }
  return { bytes: Buffer.from(text, 'latin1'), head }
}

/** For health and the record: the system's error code, never its message, which contains paths. */
function describe(cause: unknown): string {
  if (cause instanceof AuditFileError) return cause.reason
  const code = (cause as NodeJS.ErrnoException).code
  if (code !== undefined) return `write failed: ${code}`
  return cause instanceof Error ? cause.message : 'write failed'
}
