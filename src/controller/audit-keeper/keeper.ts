// Starts the thread that keeps the segments of this process, and does for it what only the writer can: the record of a removal,
// and refusing calls when the disk is full. Nothing here is on the path of a call.
import type { Logger } from '../../platform/logger.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import { sentSvid, type SentSvid } from '../../platform/tls/sent-svid.ts'
import { createReportedFault, type ReportedFault } from '../../platform/reported-fault.ts'
import { within } from '../../platform/within.ts'
import { AppError } from '../../core/errors.ts'
import { isoTime } from '../../core/iso-time.ts'
import { isFull } from '../../audit/retention.ts'
import type { AuditLog } from '../audit/group-commit.ts'
import type { KeeperData, KeeperNews, KeeperReport, KeeperTask, Removable } from './words.ts'

type KeeperOptions = {
  readonly data: KeeperData
  readonly audit: Pick<AuditLog, 'append' | 'refuse'>
  readonly log: Logger
  readonly now: () => number
  /** The identity of this process, for targets that it authenticates to. */
  readonly credentials: Pick<CredentialSource, 'current'>
  /** The shortest time between two looks. */
  readonly pauseMs?: number
  /** What was said so far; default: nothing. */
  readonly fault?: ReportedFault
  readonly entry?: URL
}

export type Keeper = {
  /** There are new records, or a segment is complete: looks within a second. */
  readonly wake: () => void
  /** What the last look found. */
  readonly report: () => KeeperReport | undefined
  readonly close: () => Promise<void>
}

const ENTRY = threadEntry('keeper-main', import.meta.url)
/** The longest time between two looks: the disk can fill up without us. */
const LOOK_MS = 10_000
const PAUSE_MS = 1000
const CLOSE_MS = 3000
const MAX_HEAP_MIB = 256

export function startKeeper(options: KeeperOptions): Keeper {
  return new RunningKeeper(options)
}

class RunningKeeper implements Keeper {
  readonly #options: KeeperOptions
  readonly #pauseMs: number
  #thread: Thread<KeeperTask, KeeperReport | undefined> | undefined
  /** Which identity the thread has. */
  #sentGeneration = 0
  #report: KeeperReport | undefined
  #looking: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #dueMs = Infinity
  #isClosed = false
  /** How often it was woken. */
  #wakes = 0
  readonly #fault: ReportedFault
  /** The first record that was removed before that could be recorded. */
  #owedSeq: number | undefined
  /** Up to here a removal is on record: files that cannot be deleted are tried again without another. */
  #recordedSeq = 0

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#pauseMs = options.pauseMs ?? PAUSE_MS
    this.#fault = options.fault ?? createReportedFault()
    this.#plan(this.#pauseMs)
  }

  wake(): void {
    this.#wakes += 1
    if (this.#looking === undefined) this.#plan(this.#pauseMs)
  }

  report(): KeeperReport | undefined {
    return this.#report
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    // A segment that is being compressed stays as it is: the next start begins again.
    if (this.#thread !== undefined) await within(CLOSE_MS, this.#thread.close())
    await this.#thread?.end()
    await this.#looking
  }

  #plan(inMs: number): void {
    const dueMs = performance.now() + inMs
    if (this.#isClosed || dueMs >= this.#dueMs) return
    clearTimeout(this.#timer)
    this.#dueMs = dueMs
    this.#timer = setTimeout(() => {
      this.#dueMs = Infinity
      this.#looking = this.#look().finally(() => (this.#looking = undefined))
    }, inMs).unref()
  }

  async #look(): Promise<void> {
    let more = false
    const wakes = this.#wakes
    try {
      const report = await this.#ask({ kind: 'look', nowMs: this.#options.now(), svid: this.#newSvid() })
      if (report !== undefined) {
        this.#take(report)
        if (report.removable !== undefined) await this.#remove(report.removable)
        if (report.faults.length === 0) this.#fault.end()
        more = report.more || report.removable !== undefined
      }
    } catch (err: unknown) {
      if (err instanceof AppError) this.#say('a removal could not be recorded', err)
      else await this.#startAgain(err)
    }
    this.#plan(more ? 0 : this.#wakes > wakes ? this.#pauseMs : LOOK_MS)
  }

  /** With a new thread next time. */
  async #startAgain(err: unknown): Promise<void> {
    await this.#thread?.end()
    this.#thread = undefined
    this.#sentGeneration = 0
    if (!this.#isClosed) this.#say('the thread failed', err)
  }

  #newSvid(): SentSvid | undefined {
    const { data, credentials } = this.#options
    if (!data.shipping.some(({ to }) => to === 'nats')) return undefined
    const current = credentials.current()
    if (current.generation === this.#sentGeneration) return undefined
    this.#sentGeneration = current.generation
    return sentSvid(current)
  }

  #ask(task: KeeperTask): Promise<KeeperReport | undefined> {
    this.#thread ??= startThread<KeeperTask, KeeperReport | undefined, KeeperNews>({
      entry: this.#options.entry ?? ENTRY,
      name: 'audit-keeper',
      data: this.#options.data,
      maxHeapMib: MAX_HEAP_MIB,
      onNews: ({ level, fields, message }) => this.#options.log[level](fields, message),
    })
    return this.#thread.ask(task)
  }

  #take(report: KeeperReport): void {
    const { data, audit } = this.#options
    this.#report = report
    const mustStop = isFull(report.disk) && data.full === 'stop'
    audit.refuse(mustStop ? 'too little of the disk is free (CRANK_AUDIT_MIN_FREE)' : undefined)
    if (report.faults.length > 0) this.#say(report.faults.join('; '))
  }

  /**
   * The record comes first: a chain that begins later without one would look as if somebody had cut it. A disk that is full to
   * the last byte takes no record, though: then the oldest segment makes room for it.
   */
  async #remove(removable: Removable): Promise<void> {
    const { log } = this.#options
    const { files, reason, firstSeq, lastSeq, lastHash } = removable
    const from = Math.max(firstSeq, this.#recordedSeq + 1)
    const range = { first_seq: Math.min(from, this.#owedSeq ?? from), last_seq: lastSeq, last_hash: lastHash }
    try {
      if (lastSeq > this.#recordedSeq) await this.#record(reason, range)
    } catch (cause: unknown) {
      if (!isWithoutRoom(cause)) throw cause
      await this.#ask({ kind: 'remove', files: files.slice(0, 1) })
      this.#owedSeq = range.first_seq
      await this.#record(reason, range)
    }
    this.#owedSeq = undefined
    this.#recordedSeq = Math.max(this.#recordedSeq, lastSeq)
    await this.#ask({ kind: 'remove', files })
    const level = reason === 'disk_full' ? 'warn' : 'info'
    log[level](
      { event: 'audit_segments_removed', reason, ...range, first_seq: firstSeq, segments: files.length },
      'old audit segments are removed',
    )
  }

  async #record(reason: Removable['reason'], range: { first_seq: number; last_seq: number; last_hash: string }) {
    const { audit, now } = this.#options
    const event = { event: 'audit_segments_removed', timestamp: isoTime(now()), reason, ...range } as const
    await audit.append(event, { patient: true })
  }

  /** Once, until it is another fault. */
  #say(fault: string, err?: unknown): void {
    if (!this.#fault.isNews(fault)) return
    this.#options.log.warn(
      { event: 'audit_keeper_failed', reason: fault, err },
      'the audit log is written, but not kept in order',
    )
  }
}

function isWithoutRoom(cause: unknown): boolean {
  const why = cause instanceof AppError ? (cause.cause as NodeJS.ErrnoException | undefined) : undefined
  const code = why?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}
