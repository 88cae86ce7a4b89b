// Reads an audit file for people: with filters, and while it is being written. It does not verify: it skips lines that are
// not records, such as a torn tail; `verifyAudit` reports them.
import { open, stat, type FileHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { openRecord, type ChainedRecord } from './chain.ts'
import { createLineSplitter, readLines } from './lines.ts'

/** `text`: the unchanged line. `line` counts from 1; in a followed file from where it was last cut or replaced. */
export type AuditRecord = { readonly line: number; readonly text: string; readonly record: ChainedRecord }

export type AuditFilter = {
  /** Only refusals, and calls that enforce mode would have refused. */
  readonly deny?: boolean
  /** A part of the requester's SPIFFE ID, such as `worker/streaming`. */
  readonly who?: string
  /** A capability, `verb:name`. */
  readonly cap?: string
  /** Records of this trace. */
  readonly trace?: string
  /** Unix milliseconds: only records from this time on. */
  readonly since?: number
}

const POLL_MS = 200
const CHUNK_BYTES = 256 * 1024

/** The records of `file` that match, in order. Rejects with the file system's error when it cannot be read. */
export async function* readAudit(file: string, filter: AuditFilter = {}): AsyncGenerator<AuditRecord, void> {
  for await (const { number, text, complete } of readLines(file)) {
    const found = complete ? toRecord(number, text, filter) : undefined
    if (found !== undefined) yield found
  }
}

/**
 * The last `last` (default 10) matching records, then each new one as it is written, until `signal` is aborted. When the file
 * is cut or replaced, reading continues at its new end or its new beginning; when it is missing, waits for it.
 */
export async function* followAudit(
  file: string,
  filter: AuditFilter,
  signal: AbortSignal,
  last = 10,
): AsyncGenerator<AuditRecord, void> {
  let history: AuditRecord[] | undefined = []
  for await (const step of steps(file, signal)) {
    if (step === 'at end') {
      yield* history ?? []
      history = undefined
      continue
    }
    const found = toRecord(step.number, step.text, filter)
    if (found === undefined) continue
    if (history === undefined) yield found
    else if (last > 0) history = [...history, found].slice(-last)
  }
}

type Step = { readonly number: number; readonly text: string } | 'at end'

/** Each line as it is written, and 'at end' whenever there is no further line yet. */
async function* steps(file: string, signal: AbortSignal): AsyncGenerator<Step, void> {
  while (!signal.aborted) {
    const handle = await open(file, 'r').catch(unlessAbsent)
    if (handle === undefined) {
      yield 'at end'
      await pause(signal)
      continue
    }
    try {
      yield* stepsOf(file, handle, signal)
    } finally {
      await handle.close()
    }
  }
}

/** Reads one open file to its end. Ends when the path leads to another file or to none. */
async function* stepsOf(file: string, handle: FileHandle, signal: AbortSignal): AsyncGenerator<Step, void> {
  const { ino, dev } = await handle.stat()
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let splitter = createLineSplitter()
  let position = 0
  let number = 0
  let first = ''
  let left = false
  while (!signal.aborted) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
    position += bytesRead
    for (const text of splitter.push(buffer.subarray(0, bytesRead))) {
      if (++number === 1) first = text
      yield { number, text }
    }
    if (bytesRead > 0) continue
    if (left) return
    yield 'at end'
    await pause(signal)
    const named = await stat(file).catch(unlessAbsent)
    left = named?.ino !== ino || named.dev !== dev
    // The file may have been emptied, and the writer may have started it again.
    const same = await startsWith(handle, first)
    const { size } = await handle.stat()
    if (same && size >= position) continue
    // Either the writer removed a failed batch, or the first record has changed.
    position = same ? Math.min(position - splitter.rest().length, size) : 0
    splitter = createLineSplitter()
    number = 0
  }
}

async function startsWith(handle: FileHandle, line: string): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(line.length), 0, line.length, 0)
  return buffer.toString('latin1', 0, bytesRead) === line
}

function toRecord(line: number, text: string, filter: AuditFilter): AuditRecord | undefined {
  const record = openRecord(text)
  return typeof record === 'object' && matches(record, filter) ? { line, text, record } : undefined
}

function matches(record: ChainedRecord, { deny, who, cap, trace, since }: AuditFilter): boolean {
  if (since !== undefined && !(Date.parse(record.timestamp) >= since)) return false
  if (trace !== undefined && record['trace_id'] !== trace) return false
  if (deny === true && !isRefusal(record)) return false
  if (who !== undefined && !isBy(record['requester_spiffe_id'], who)) return false
  return cap === undefined || record['capability'] === cap || offers(record['capabilities'], cap)
}

const REFUSALS = new Set(['identity_refused', 'handshake_refused', 'request_refused'])

function isRefusal(record: ChainedRecord): boolean {
  if (REFUSALS.has(record.event)) return true
  const decision = record['decision']
  return decision === 'deny' || decision === 'would_deny' || decision === 'error'
}

function isBy(requester: unknown, who: string): boolean {
  return typeof requester === 'string' && requester.includes(who)
}

function offers(capabilities: unknown, cap: string): boolean {
  return Array.isArray(capabilities) && capabilities.includes(cap)
}

async function pause(signal: AbortSignal): Promise<void> {
  await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
}

function unlessAbsent(cause: unknown): undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
}
