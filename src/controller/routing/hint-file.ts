// Keeps the registry on disk up to date: changes are collected and written as one atomic replacement, off the path of calls.
// It is a hint: that it cannot be written or read is reported, and never stops anything.
import { readFile, rm, stat } from 'node:fs/promises'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import type { Logger } from '../../platform/logger.ts'
import { replaceFile } from '../../platform/replace-file.ts'
import { createReportedFault } from '../../platform/reported-fault.ts'
import { hintLine, hintText, parseHint, type RememberedWorker } from './hint-format.ts'
import { keyOf, type WorkerInstance } from './registry.ts'

export type HintFile = {
  /** What an earlier controller left, at the start of this one. */
  readonly found: readonly RememberedWorker[]
  /**
   * Resolves at once for a new worker. If another instance had the same name, it resolves when that one is off the disk: only
   * then may the new instance learn its lease, or the old one could return with its own.
   */
  readonly remember: (worker: RememberedWorker) => Promise<void>
  /** Forgets exactly this instance: one that replaced it stays. */
  readonly forget: (instance: Instance) => void
  /** Resolves when everything so far is on the disk, or the file is gone. Never rejects. */
  readonly settled: () => Promise<void>
  /** Writes what is left. */
  readonly close: () => Promise<void>
}

type Instance = Pick<WorkerInstance, 'spiffeId' | 'workerId' | 'leaseHash'>
type HintFileOptions = {
  readonly file: string
  readonly trustDomain: TrustDomain
  readonly log: Pick<Logger, 'warn' | 'error'>
}

const COLLECT_MS = 200
const MAX_BYTES = 32 * 1024 * 1024
const HEADER_BYTES = 1024

/** Reads the file and starts to keep it. Never rejects: an unusable file is reported and ignored. */
export async function openHintFile(options: HintFileOptions): Promise<HintFile> {
  const found = await readFound(options)
  const lines = createLines(options.log)
  for (const worker of found) lines.put(worker)
  const writer = createWriter(options, lines)
  return {
    found,
    remember(worker) {
      const isReplacing = lines.put(worker)
      writer.changed()
      return isReplacing ? writer.settled() : Promise.resolve()
    },
    forget(instance) {
      if (lines.drop(instance)) writer.changed()
    },
    settled: writer.settled,
    close: writer.settled,
  }
}

async function readFound({ file, trustDomain, log }: HintFileOptions): Promise<readonly RememberedWorker[]> {
  try {
    const { size } = await stat(file)
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_BYTES} are read`)
    return parseHint(await readFile(file, 'utf8'), trustDomain)
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    const reason = cause instanceof Error ? cause.message : String(cause)
    log.warn(
      { event: 'registry_hint_ignored', file, reason },
      'the registry on disk cannot be used; workers register again by themselves',
    )
    return []
  }
}

type Lines = ReturnType<typeof createLines>

/** The lines of the file by worker, and which ones the file on disk may still have though they are gone. */
function createLines(log: Pick<Logger, 'warn'>) {
  const lines = new Map<string, { readonly leaseHash: string; readonly text: string; readonly size: number }>()
  const gone = new Map<string, number>()
  let bytes = 0
  let changes = 0
  const full = createReportedFault()
  const remove = (key: string): boolean => {
    const line = lines.get(key)
    if (line === undefined) return false
    lines.delete(key)
    bytes -= line.size
    gone.set(key, ++changes)
    return true
  }
  return {
    /** True if the file on disk may have another instance of the same name. */
    put(worker: RememberedWorker): boolean {
      const key = keyOf({ spiffeId: worker.spiffeId, workerId: worker.body.worker_id })
      remove(key)
      const text = hintLine(worker)
      const size = Buffer.byteLength(text) + 2
      if (bytes + size > MAX_BYTES - HEADER_BYTES) {
        const message = 'the registry on disk is full; after a restart the other workers register again by themselves'
        if (full.isNews('full')) log.warn({ event: 'registry_hint_full', bytes }, message)
      } else {
        lines.set(key, { leaseHash: worker.leaseHash, text, size })
        bytes += size
        changes++
      }
      return gone.has(key)
    },
    drop(instance: Instance): boolean {
      const key = keyOf(instance)
      return lines.get(key)?.leaseHash === instance.leaseHash && remove(key)
    },
    changes: () => changes,
    texts: () => [...lines.values()].map(({ text }) => text),
    /** Everything up to this change is on the disk. */
    written(upTo: number): void {
      for (const [key, change] of gone) if (change <= upTo) gone.delete(key)
    },
  }
}

function createWriter({ file, trustDomain, log }: HintFileOptions, lines: Lines) {
  const fault = createReportedFault()
  let done = lines.changes()
  let waiting: { readonly upTo: number; readonly resolve: () => void }[] = []
  let timer: NodeJS.Timeout | undefined
  let isWriting = false

  async function writeAll(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (isWriting) return
    isWriting = true
    const upTo = lines.changes()
    await write()
    isWriting = false
    done = upTo
    lines.written(upTo)
    waiting.filter((one) => one.upTo <= upTo).forEach(({ resolve }) => resolve())
    waiting = waiting.filter((one) => one.upTo > upTo)
    if (waiting.length > 0) await writeAll()
    else if (lines.changes() > done) changed()
  }

  async function write(): Promise<void> {
    try {
      await replaceFile(file, hintText(trustDomain, lines.texts()), 0o600)
      fault.end()
    } catch (cause: unknown) {
      // An old file could bring back a worker that has left: none is better. Removing works on a full disk too.
      await rm(file, { force: true }).catch(() => undefined)
      const reason = cause instanceof Error ? cause.message : String(cause)
      const message = 'the registry cannot be written; after a restart workers register again by themselves'
      // The message has the random name of the draft.
      const kind = (cause as NodeJS.ErrnoException).code ?? reason
      if (fault.isNews(kind)) log.error({ event: 'registry_hint_failed', file, reason }, message)
    }
  }

  function changed(): void {
    timer ??= setTimeout(() => void writeAll(), COLLECT_MS).unref()
  }

  return {
    changed,
    settled: (): Promise<void> => {
      const upTo = lines.changes()
      if (done >= upTo) return Promise.resolve()
      return new Promise((resolve) => {
        waiting.push({ upTo, resolve })
        void writeAll()
      })
    },
  }
}
