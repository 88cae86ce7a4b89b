// Writes a process's log lines, best effort. A line waits in a bounded buffer and is written in a later turn of the event
// loop; when there is no room it is dropped and counted. Nothing here throws or waits for a reader or a disk.
import { openFdWriter, type FdWriter } from './fd-writer.ts'

type LogOutputOptions = {
  /** Called when there is room again, with the number of dropped lines; writes the line that reports them. */
  readonly onRoom: (dropped: number) => void
  readonly fd?: 1 | 2
  readonly maxBytes?: number
  /** Other processes write to the same descriptor: no write may end within a line. Default: false. */
  readonly isShared?: boolean
}

const MAX_BYTES = 1024 * 1024
/** A pipe takes a write of at most this size (PIPE_BUF) as a whole, or not at all. A longer line can still be cut. */
const WHOLE_BYTES = 4096
/** A slow reader is tried again soon; a full disk or a closed pipe needs a person, so it is tried less often. */
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 200
const FAULT_PAUSE_MS = 1000
/** Lines that follow a write gather for so long: each write wakes another thread, or the reader of a pipe. */
const GATHER_MS = 10
/** The longest wait for a slow reader at the end of the process. */
const END_MS = 500
const END_PAUSE_MS = 10
const NOTHING = Buffer.alloc(0)

/** Invariant: `#bytes` is the size of `#chunk` and `#lines` together, and at most `maxBytes`. */
export class LogOutput {
  readonly #onRoom: (dropped: number) => void
  readonly #fd: 1 | 2
  readonly #maxBytes: number
  readonly #isShared: boolean
  /** Not yet encoded; to be written after `#chunk`. */
  #lines: string[] = []
  /** The rest of what is being written. */
  #chunk: Buffer = NOTHING
  #bytes = 0
  /** Lines dropped since the last report. */
  #unsaid = 0
  #dropped = 0
  #writer: FdWriter | undefined
  /** A write is in progress or scheduled. */
  #busy = false
  /** Another thread has `#chunk`. */
  #inFlight = false
  #pauseMs = FIRST_PAUSE_MS
  #onIdle: (() => void) | undefined
  #closed = false
  readonly #atExit = (): void => this.#writeRest()

  constructor({ onRoom, fd = 1, maxBytes = MAX_BYTES, isShared = false }: LogOutputOptions) {
    this.#onRoom = onRoom
    this.#fd = fd
    this.#maxBytes = maxBytes
    this.#isShared = isShared
  }

  /** Takes a line with its line feed, or drops it. */
  write(line: string): void {
    if (this.#closed) return
    this.#sayDropped()
    const size = Buffer.byteLength(line)
    if (this.#unsaid > 0 || this.#bytes + size > this.#maxBytes) {
      this.#unsaid += 1
      this.#dropped += 1
      return
    }
    this.#lines.push(line)
    this.#bytes += size
    if (this.#busy) return
    this.#busy = true
    this.#writer ??= this.#open()
    setImmediate(() => this.#next())
  }

  /** Lines dropped since the start. */
  dropped(): number {
    return this.#dropped
  }

  /** Resolves when everything is written, or after half a second. */
  async flush(): Promise<void> {
    if (this.#bytes === 0) return
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#onIdle = () => resolve(undefined)
    const timer = setTimeout(this.#onIdle, END_MS)
    await promise
    clearTimeout(timer)
  }

  /** Flushes, closes what was opened, and accepts no more lines. */
  async close(): Promise<void> {
    await this.flush()
    this.#closed = true
    process.off('exit', this.#atExit)
    this.#writer?.close()
  }

  /** Waits until half of the buffer is free: otherwise a slow reader would get a report after every second line. */
  #sayDropped(): void {
    if (this.#unsaid === 0 || this.#bytes > this.#maxBytes / 2) return
    const count = this.#unsaid
    this.#unsaid = 0
    this.#onRoom(count)
  }

  #next(): void {
    if (this.#closed || this.#writer === undefined) return
    if (this.#chunk.length === 0) this.#encode()
    if (this.#chunk.length === 0) {
      this.#busy = false
      this.#onIdle?.()
      return
    }
    this.#inFlight = true
    this.#writer.write(this.#chunk, (error, written) => {
      this.#inFlight = false
      if (error === null) this.#wrote(written)
      else this.#pause(error.code)
    })
  }

  #wrote(written: number): void {
    this.#chunk = this.#chunk.subarray(written)
    this.#bytes -= written
    this.#pauseMs = FIRST_PAUSE_MS
    this.#sayDropped()
    // With another full write waiting there is nothing to gather.
    if (this.#chunk.length > 0 || this.#bytes >= WHOLE_BYTES) setImmediate(() => this.#next())
    else setTimeout(() => this.#next(), GATHER_MS)
  }

  #pause(code: string | undefined): void {
    const isBehind = code === 'EAGAIN'
    // A process with nothing else to do ends here, and tries once more in its exit handler.
    setTimeout(() => this.#next(), isBehind ? this.#pauseMs : FAULT_PAUSE_MS).unref()
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS)
  }

  #encode(): void {
    const count = this.#isShared ? this.#wholeLines() : this.#lines.length
    this.#chunk = Buffer.from(this.#lines.splice(0, count).join(''))
  }

  /** How many of the waiting lines can be written as a whole; at least one. */
  #wholeLines(): number {
    let bytes = 0
    const tooMany = this.#lines.findIndex((line) => (bytes += Buffer.byteLength(line)) > WHOLE_BYTES)
    return tooMany === -1 ? this.#lines.length : Math.max(1, tooMany)
  }

  #open(): FdWriter {
    process.on('exit', this.#atExit)
    return openFdWriter(this.#fd)
  }

  /** The process ends after this: the only place that blocks, for half a second at most. */
  #writeRest(): void {
    const writer = this.#writer
    if (writer === undefined) return
    this.#sayDropped()
    if (this.#inFlight) this.#chunk = NOTHING
    const end = performance.now() + END_MS
    while (performance.now() < end) {
      if (this.#chunk.length === 0) this.#encode()
      if (this.#chunk.length === 0) return
      try {
        this.#chunk = this.#chunk.subarray(writer.writeNow(this.#chunk))
      } catch (error: unknown) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, END_PAUSE_MS)
      }
    }
  }
}
