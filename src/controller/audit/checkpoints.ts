// Makes checkpoints of a slot's chain beside the writer: never before a record is durable, and never in the way of one.
import { open, rename, stat } from 'node:fs/promises'
import type { Head } from '../../audit/chain.ts'
import { checkpointFiles, readNewestCheckpoint } from '../../audit/checkpoint-files.ts'
import { checkpointText, type Checkpoint } from '../../audit/checkpoint.ts'
import type { NoteSigner } from '../../audit/signed-note.ts'
import { isoTime } from '../../core/iso-time.ts'
import type { Logger } from '../../platform/logger.ts'
import { asObserver } from '../../platform/observer.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'

type CheckpointsOptions = {
  /** The slot's folder. */
  readonly folder: string
  readonly origin: string
  /** Undefined: the checkpoints are not signed. */
  readonly signer?: NoteSigner | undefined
  readonly now: () => number
  readonly monotonic: () => number
  readonly log: Logger
  /** Called with each checkpoint once it is on the disk. */
  readonly onMade?: ((checkpoint: MadeCheckpoint) => void) | undefined
  readonly onFailed?: (() => void) | undefined
}

/** `text`: a signed note, or without a key what would be signed. */
type MadeCheckpoint = { readonly seq: number; readonly text: string }

type CheckpointsHealth = {
  readonly newest?: MadeCheckpoint
  readonly failures: number
  /** A checkpoint of an earlier run names a record that the log does not have: records were cut off, or an old copy was restored. */
  readonly behind?: { readonly seq: number; readonly time: string }
}

const EVERY_RECORDS = 1000
const EVERY_MS = 1000
const TOLD_EVERY_MS = 60_000
/** Some 30,000 checkpoints: three weeks, if each minute has one. Twice as much is kept. */
const MAX_HISTORY_BYTES = 8 * 1024 * 1024
const PRIVATE = 0o600
const NOBODY = (): void => undefined

/**
 * Compares the newest checkpoint in the folder with `head`, the end of the log. If the log is behind it, that checkpoint goes
 * to the history before a new one takes its place, so that `crank audit verify` finds it. Never rejects: trouble with the files
 * is logged and counted like that of a later checkpoint.
 */
export async function openCheckpoints(options: CheckpointsOptions, head: Head): Promise<Checkpoints> {
  const checkpoints = new Checkpoints(options, head)
  await checkpoints.compare()
  return checkpoints
}

/** Invariant: at most one is being written, and the timer runs only while there is a record that no checkpoint covers. */
export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #fault = createReportedFault()
  readonly #told: { readonly onMade: (checkpoint: MadeCheckpoint) => void; readonly onFailed: () => void }
  #behind: Checkpoint | undefined
  #head: Head
  #covered: number
  #newest: MadeCheckpoint | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #isClosed = false
  #failures = 0
  #separator = '\n\n'
  #keptMs = -Infinity
  #toldMs = -Infinity

  constructor(options: CheckpointsOptions, head: Head) {
    this.#options = options
    this.#head = head
    this.#covered = head.seq
    this.#told = asObserver({ onMade: options.onMade ?? NOBODY, onFailed: options.onFailed ?? NOBODY })
  }

  /** After each durable write. Returns at once, and never throws. */
  seen(head: Head): void {
    this.#head = head
    if (this.#writing !== undefined || this.#isClosed) return
    if (head.seq - this.#covered >= EVERY_RECORDS && this.#fault.current() === undefined) void this.#start()
    else this.#timer ??= setTimeout(() => void this.#start(), EVERY_MS).unref()
  }

  health(): CheckpointsHealth {
    const behind = this.#behind
    return {
      ...(this.#newest !== undefined && { newest: this.#newest }),
      failures: this.#failures,
      ...(behind !== undefined && { behind: { seq: behind.seq, time: behind.time } }),
    }
  }

  /** Makes one of what was seen until now, unless there is one. One that fails is logged and counted, and made later. */
  async cover(): Promise<void> {
    await this.#writing
    // What somebody else began meanwhile covers it too.
    await (this.#writing ?? this.#start())
  }

  /** Makes the last one. Call it when the last record is durable. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.cover()
  }

  /** Looks at the newest checkpoint of an earlier run, and keeps it if the log contradicts it. Before the first record. */
  async compare(): Promise<void> {
    try {
      const newest = readNewestCheckpoint(this.#options.folder)
      const { seq, hash } = this.#head
      if (newest !== undefined && (newest.seq > seq || (newest.seq === seq && newest.hash !== hash)))
        await this.#keep(newest)
    } catch (cause: unknown) {
      this.#fail(cause)
    }
  }

  async #keep(newest: Checkpoint): Promise<void> {
    const { seq, hash, time, origin, note } = newest
    this.#behind = newest
    const fields = { event: 'audit_behind_checkpoint', seq: this.#head.seq, checkpoint_seq: seq, checkpoint_time: time }
    this.#options.log.error(
      fields,
      'a checkpoint names a record that the audit log does not have; run "crank audit verify"',
    )
    const signatures = note?.signatures.map(({ line }) => `${line}\n`).join('')
    const body = checkpointText({ origin, seq, hash, time })
    await this.#append(signatures === undefined ? body : `${body}\n${signatures}`)
  }

  #start(): Promise<void> | undefined {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#head.seq <= this.#covered) return undefined
    this.#writing = this.#make(this.#head).finally(() => {
      this.#writing = undefined
      if (this.#head.seq > this.#covered) this.seen(this.#head)
    })
    return this.#writing
  }

  async #make(head: Head): Promise<void> {
    const { origin, signer, now, monotonic, folder } = this.#options
    try {
      const text = checkpointText({ ...head, origin, time: isoTime(now()) }, signer)
      // Not the folder: after a power cut there may be the one before, which holds as well.
      await replaceFile(checkpointFiles(folder).newest, text, PRIVATE)
      if (this.#isClosed || monotonic() - this.#keptMs >= TOLD_EVERY_MS) {
        await this.#append(text)
        this.#keptMs = monotonic()
      }
      this.#covered = head.seq
      this.#newest = { seq: head.seq, text }
      this.#tell(head, text)
      this.#told.onMade(this.#newest)
    } catch (cause: unknown) {
      this.#fail(cause)
    }
  }

  async #append(text: string): Promise<void> {
    const { history, older } = checkpointFiles(this.#options.folder)
    const { size } = await stat(history).catch(() => ({ size: 0 }))
    if (size > MAX_HISTORY_BYTES) await rename(history, older)
    const separator = this.#separator
    this.#separator = '\n\n'
    const handle = await open(history, 'a', PRIVATE)
    try {
      await handle.writeFile(separator + text)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    // After a failure there may be a part of a checkpoint, from which the next one must be set apart.
    this.#separator = '\n'
  }

  #tell({ seq, hash }: Head, checkpoint: string): void {
    const { log, monotonic } = this.#options
    if (this.#fault.end()) log.info({ event: 'audit_checkpoint_recovered', seq }, 'checkpoints can be written again')
    if (monotonic() - this.#toldMs < TOLD_EVERY_MS && !this.#isClosed) return
    this.#toldMs = monotonic()
    log.info({ event: 'audit_checkpoint', seq, hash, checkpoint }, 'checkpoint of the audit log')
  }

  #fail(cause: unknown): void {
    const { log } = this.#options
    this.#failures++
    const reason = (cause as NodeJS.ErrnoException).code ?? 'failed'
    if (this.#fault.isNews(reason)) {
      log.error(
        { event: 'audit_checkpoint_failed', reason, err: cause },
        'the checkpoint of the audit log cannot be written',
      )
    }
    this.#told.onFailed()
  }
}
