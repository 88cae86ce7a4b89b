// Reads audit files while they are being written.
import { open, stat, type FileHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createLineSplitter } from './lines.ts'
import { createLast, mergeByTime } from './merge.ts'
import type { AuditPlace } from './places.ts'
import { toRecord, type AuditFilter, type AuditRecord } from './reader.ts'

const POLL_MS = 200
const CHUNK_BYTES = 256 * 1024

/**
 * The last `last` (default 10) matching records of the logs at `places`, then each new one as it is written, until `signal` is
 * aborted. `places` is asked again and again: a log that appears later is read from its beginning. What was written since the
 * last look is merged by time. When a file is cut or replaced, reading continues at its new end or its new beginning; when it is
 * missing, waits for it.
 */
export async function* followAudit(
  places: () => readonly AuditPlace[],
  filter: AuditFilter,
  signal: AbortSignal,
  last = 10,
): AsyncGenerator<AuditRecord, void> {
  const followed = new Map<number | null, Followed>()
  let history: ReturnType<typeof createLast<AuditRecord>> | undefined = createLast(last)
  try {
    while (!signal.aborted) {
      for (const { slot, file } of places()) {
        const known = followed.get(slot)
        if (known === undefined) followed.set(slot, follow(file, signal))
        else known.place.file = file
      }
      if (followed.size === 0) await pause(signal)
      for await (const found of mergeByTime([...followed.values()].map(({ lines }) => untilEnd(lines, filter)))) {
        if (history === undefined) yield found
        else history.add(found)
      }
      yield* history?.items() ?? []
      history = undefined
    }
  } finally {
    await Promise.all([...followed.values()].map(({ lines }) => lines.return()))
  }
}

type Step = { readonly number: number; readonly text: string } | 'at end'
type Followed = { readonly place: { file: string }; readonly lines: AsyncGenerator<Step, void> }

function follow(file: string, signal: AbortSignal): Followed {
  const place = { file }
  return { place, lines: steps(place, signal) }
}

/** The matching records up to the end that the log has now. */
async function* untilEnd(lines: AsyncGenerator<Step, void>, filter: AuditFilter): AsyncGenerator<AuditRecord, void> {
  for (let next = await lines.next(); next.done !== true && next.value !== 'at end'; next = await lines.next()) {
    const found = toRecord(next.value.number, next.value.text, filter)
    if (found !== undefined) yield found
  }
}

/** What was read of a file: up to `position`, `number` lines, of which the first is `first`. */
type Read = { readonly ino: number; readonly dev: number; position: number; number: number; first: string }

/** Each line as it is written, and 'at end' whenever there is no further line yet. */
async function* steps(place: { readonly file: string }, signal: AbortSignal): AsyncGenerator<Step, void> {
  let before: Read | undefined
  while (!signal.aborted) {
    const handle = await open(place.file, 'r').catch(unlessAbsent)
    if (handle === undefined) {
      yield 'at end'
      await pause(signal)
      continue
    }
    try {
      before = await startOf(handle, before)
      yield* stepsOf(place, handle, before, signal)
    } finally {
      await handle.close()
    }
  }
}

/** Reads one open file to its end. Ends when the path leads to another file or to none. */
async function* stepsOf(
  place: { readonly file: string },
  handle: FileHandle,
  read: Read,
  signal: AbortSignal,
): AsyncGenerator<Step, void> {
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let splitter = createLineSplitter()
  let left = false
  while (!signal.aborted) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, read.position)
    read.position += bytesRead
    for (const text of splitter.push(buffer.subarray(0, bytesRead))) {
      if (++read.number === 1) read.first = text
      yield { number: read.number, text }
    }
    if (bytesRead > 0) continue
    if (left) {
      read.position -= splitter.rest().length
      return
    }
    yield 'at end'
    await pause(signal)
    const named = await stat(place.file).catch(unlessAbsent)
    left = named?.ino !== read.ino || named.dev !== read.dev
    // The file may have been emptied, and the writer may have started it again.
    const same = await startsWith(handle, read.first)
    const { size } = await handle.stat()
    if (same && size >= read.position) continue
    // Either the writer removed a failed batch, or the first record has changed.
    read.position = same ? Math.min(read.position - splitter.rest().length, size) : 0
    if (!same) read.number = 0
    splitter = createLineSplitter()
  }
}

/** Where to begin: where it ended, if it is the same file again, which was moved together with its place. */
async function startOf(handle: FileHandle, before: Read | undefined): Promise<Read> {
  const { ino, dev, size } = await handle.stat()
  const isSame = before?.ino === ino && before.dev === dev && size >= before.position
  return isSame && (await startsWith(handle, before.first)) ? before : { ino, dev, position: 0, number: 0, first: '' }
}

async function startsWith(handle: FileHandle, line: string): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(line.length), 0, line.length, 0)
  return buffer.toString('latin1', 0, bytesRead) === line
}

async function pause(signal: AbortSignal): Promise<void> {
  await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
}

function unlessAbsent(cause: unknown): undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
}
