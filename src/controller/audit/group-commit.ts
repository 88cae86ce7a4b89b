// Group commit: appends wait in a queue, and one write at a time makes a batch of them durable. Numbers and hashes are
// given when a batch is written, so a batch that fails leaves no gap: nobody was told that it is recorded.
import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { asObserver } from '../../platform/observer.ts'
import { sealRecord, type Head } from './chain.ts'
import type { DurableFile } from './durable-file.ts'
import { isoTime, type AuditEvent } from './event.ts'
import { createOutageTracker, type AuditHealth, type Outage, type OutageTracker } from './health.ts'
import { createWaitingQueue, type Waiting, type WaitingQueue } from './queue.ts'
import { serialiseEvent } from './serialise.ts'

export type AuditLog = {
  /** Resolves when the record is durable. @throws {AppError} `audit_unavailable`: it may not be relied on to be recorded. */
  append(event: AuditEvent): Promise<void>
  health(): AuditHealth
  /** Calls `listener` when health changes from ok to not ok or back. @returns the function that unsubscribes. */
  onHealthChange(listener: (health: AuditHealth) => void): () => void
  /** Refuses new records, waits (bounded) for those that are queued, frees the file. */
  close(): Promise<void>
}

export type GroupCommitOptions = {
  readonly file: DurableFile
  readonly head: Head
  readonly now: () => number
  readonly log: Logger
  readonly maxQueued: number
  readonly maxWaitMs: number
  /** See AuditLogOptions. */
  readonly onDropped?: ((count: number) => void) | undefined
  readonly unlock: () => void
}

/** Building a batch holds up the event loop: about 2 ms for this many. */
const MAX_BATCH = 512
const PROBE_MS = 250

/** The one writer of a file. Invariant: `#head` is the last record that is durable, and the file ends with it. */
export class GroupCommit implements AuditLog {
  readonly #opts: GroupCommitOptions
  readonly #queue: WaitingQueue
  readonly #outages: OutageTracker
  #head: Head
  #lastDurableMs: number | undefined
  #flushing = false
  #onIdle: (() => void) | undefined
  #probe: NodeJS.Timeout | undefined
  #closed: Promise<void> | undefined

  constructor(opts: GroupCommitOptions) {
    const { maxQueued, maxWaitMs, now } = opts
    this.#opts = opts
    this.#head = opts.head
    this.#outages = createOutageTracker(now)
    const onExpired = (count: number): void => this.#fail(`no record became durable for ${maxWaitMs} ms`, count)
    const { onDropped } = asObserver({ onDropped: (count: number) => opts.onDropped?.(count) })
    this.#queue = createWaitingQueue({ maxQueued, maxWaitMs, now, onExpired, onDropped })
  }

  append(event: AuditEvent): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(new AppError('audit_unavailable', 'the audit log is closed'))
    const appended = this.#queue.push(serialiseEvent(event))
    this.#startFlush()
    return appended
  }

  health(): AuditHealth {
    const reason = this.#outages.current()?.reason
    return {
      ok: reason === undefined,
      ...(reason !== undefined && { reason }),
      queued: this.#queue.length(),
      oldestMs: this.#queue.oldestMs(),
      ...(this.#lastDurableMs !== undefined && { lastDurableMs: this.#lastDurableMs }),
      head: this.#head,
    }
  }

  onHealthChange(listener: (health: AuditHealth) => void): () => void {
    return this.#outages.onChange(() => listener(this.health()))
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  /** Begins in the next turn of the event loop: all that the sockets of this turn bring shares one write. */
  #startFlush(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => void this.#flush())
  }

  async #flush(): Promise<void> {
    let ok = true
    while (ok && (this.#queue.length() > 0 || this.#outages.current() !== undefined)) {
      ok = await this.#commit(this.#queue.take(MAX_BATCH), this.#outages.current())
    }
    this.#flushing = false
    this.#onIdle?.()
  }

  /** Writes one batch. After an outage its first record says so, and only when that one is durable is the outage over. */
  async #commit(batch: readonly Waiting[], outage: Outage | undefined): Promise<boolean> {
    const members = batch.map((record) => record.members)
    if (outage !== undefined) members.unshift(serialiseEvent(recoveredEvent(outage, this.#opts.now())))
    try {
      const { bytes, head } = sealBatch(this.#head, members)
      await this.#opts.file.append(bytes)
      this.#head = head
    } catch (cause: unknown) {
      this.#fail(describe(cause), this.#queue.rejectAll(cause), cause)
      this.#probeLater()
      return false
    }
    this.#lastDurableMs = this.#opts.now()
    this.#queue.done()
    for (const record of batch) record.resolve()
    if (outage !== undefined) this.#recover(outage)
    return true
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
      'the audit log is written again',
    )
  }

  /** An append tries again at once; this is for when there is none. */
  #probeLater(): void {
    if (this.#closed !== undefined) return
    clearTimeout(this.#probe)
    this.#probe = setTimeout(() => this.#startFlush(), PROBE_MS).unref()
  }

  async #close(): Promise<void> {
    const { file, unlock, maxWaitMs } = this.#opts
    clearTimeout(this.#probe)
    if (this.#flushing) {
      const idle = new Promise<void>((resolve) => (this.#onIdle = resolve))
      await Promise.race([idle, delay(maxWaitMs, undefined, { ref: false })])
    }
    this.#queue.rejectAll(new Error('the audit log was closed'))
    this.#queue.close()
    // A write that hangs still owns the descriptor; closing it now could send those bytes into another file.
    if (this.#flushing) return
    await file.close()
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

function recoveredEvent({ reason, sinceMs, refused }: Outage, nowMs: number): AuditEvent {
  return { event: 'audit_recovered', timestamp: isoTime(nowMs), reason, since: isoTime(sinceMs), refused }
}

/** For health and the record: the system's error code, never its message, which holds paths. */
function describe(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code
  if (code !== undefined) return `write failed: ${code}`
  return cause instanceof Error ? cause.message : 'write failed'
}
