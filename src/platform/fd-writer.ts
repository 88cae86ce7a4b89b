// Writes to a file descriptor without making the event loop wait for whoever reads it: a pipe, socket or terminal takes
// what it has room for, a file is written in another thread.
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

export type FdWriter = {
  /** Writes `bytes` or a part of them and says how many. `EAGAIN`: there is no room now. Never throws. */
  readonly write: (bytes: Buffer, done: (error: NodeJS.ErrnoException | null, written: number) => void) => void
  /** The same at once, for the end of a process. @throws what the system says */
  readonly writeNow: (bytes: Buffer) => number
  /** Frees what was opened; the descriptor that was given stays open. */
  readonly close: () => void
}

/** `fd`: 1 or 2. Never throws: a descriptor that cannot be written to says so with each write. */
export function openFdWriter(fd: 1 | 2): FdWriter {
  const kind = kindOf(fd)
  if (kind === 'file') return threadWriter(fd)
  if (kind !== 'socket') {
    const own = openUnblocked(fd)
    if (own !== undefined) return { ...unblockedWriter(own), close: () => closeSync(own) }
    if (kind === 'terminal') return threadWriter(fd)
  }
  // Node makes pipes and sockets non-blocking when it makes a stream of them.
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
 * The same pipe or terminal under a descriptor of our own. Whether writes wait is a flag of the open file, and other
 * processes share the inherited one: each of them could turn it back. Not possible for a pipe of another user.
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

// A disk may take its time. A hung one holds one thread of the pool, and never more: there is one write at a time.
function threadWriter(fd: number): FdWriter {
  return {
    write: (bytes, done) => write(fd, bytes, done),
    writeNow: (bytes) => writeSync(fd, bytes),
    close: () => undefined,
  }
}
