// Writes to a file descriptor without blocking the event loop on a slow reader: a pipe, socket or terminal takes what it has
// room for, a file is written in another thread.
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

export type FdWriter = {
  /** Writes all or part of `bytes` and reports how many. `EAGAIN`: there is no room now. Never throws. */
  readonly write: (bytes: Buffer, done: (error: NodeJS.ErrnoException | null, written: number) => void) => void
  /** The same synchronously, for the end of a process. @throws the system error */
  readonly writeNow: (bytes: Buffer) => number
  /** Closes what this writer opened; the original descriptor stays open. */
  readonly close: () => void
}

/** `fd`: 1 or 2. Never throws: when the descriptor cannot be written to, each write reports the error. */
export function openFdWriter(fd: 1 | 2): FdWriter {
  const kind = kindOf(fd)
  if (kind === 'file') return threadWriter(fd)
  if (kind !== 'socket') {
    const own = openUnblocked(fd)
    if (own !== undefined) return { ...unblockedWriter(own), close: () => closeSync(own) }
    if (kind === 'terminal') return threadWriter(fd)
  }
  // Node makes pipes and sockets non-blocking when it creates a stream for them.
  const { fd: unblocked } = fd === 1 ? process.stdout : process.stderr
  return unblockedWriter(unblocked)
}

function kindOf(fd: number): 'file' | 'pipe' | 'socket' | 'terminal' {
  try {
    const stats = fstatSync(fd)
    if (stats.isFIFO()) return 'pipe'
    if (stats.isSocket()) return 'socket'
    return isatty(fd) ? 'terminal' : 'file'
  } catch {
    return 'file'
  }
}

/**
 * Opens the same pipe or terminal as our own descriptor. Blocking is a flag of the open file, and other processes share the
 * inherited one: any of them could switch it back. Not possible for another user's pipe.
 */
function openUnblocked(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return undefined
  }
}

function unblockedWriter(fd: number): FdWriter {
  return {
    write(bytes, done) {
      let written = 0
      try {
        written = writeSync(fd, bytes)
      } catch (error: unknown) {
        done(error as NodeJS.ErrnoException, 0)
        return
      }
      done(null, written)
    },
    writeNow: (bytes) => writeSync(fd, bytes),
    close: () => undefined,
  }
}

// A disk may be slow. A disk that hangs occupies at most one thread of the pool, since there is one write at a time.
function threadWriter(fd: number): FdWriter {
  return {
    write: (bytes, done) => write(fd, bytes, done),
    writeNow: (bytes) => writeSync(fd, bytes),
    close: () => undefined,
  }
}
