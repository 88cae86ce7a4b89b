// The threads of a replay: each free thread gets a piece of the logs and returns a tally. Only a few pieces are in memory,
// for any length of the logs.
import { availableParallelism } from 'node:os'
import { ThreadFailure } from '../../platform/thread/failure.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import { unreadableFile } from './pieces.ts'
import type { Tally } from './tally.ts'
import type { Piece, Replayed, ThreadTask } from './words.ts'

const ENTRY = threadEntry('thread-main', import.meta.url)
/** One in progress and one waiting, so that no thread waits for the next. */
const PIECES_PER_THREAD = 2

/** One per processor, but no more than there are pieces. */
export function threadsFor(pieces: number): number {
  return Math.max(1, Math.min(availableParallelism(), pieces))
}

/** Tallies every piece, in any order; `onTally` receives its size in bytes. Rejects when reading or a thread fails. */
export async function tallyPieces(
  pieces: AsyncGenerator<Piece, void>,
  task: ThreadTask,
  onTally: (tally: Tally, bytes: number) => void,
  threads: number,
): Promise<void> {
  const pool = Array.from({ length: threads }, () =>
    startThread<Piece, Replayed>({ entry: ENTRY, name: 'replay', data: task }),
  )
  const lane = async (thread: Thread<Piece, Replayed>): Promise<void> => {
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
      const { value: piece } = next
      const { bytes } = piece
      const replayed = await thread.ask(piece, { transfer: piece.kind === 'lines' ? [piece.content.buffer] : [] })
      if (replayed.kind === 'unreadable') throw unreadableFile(replayed.file, replayed.code)
      onTally(replayed.tally, bytes)
    }
  }
  try {
    // Each thread gets its first piece before one gets its second.
    await Promise.all(Array.from({ length: PIECES_PER_THREAD }, () => pool.map(lane)).flat())
    await Promise.all(pool.map((thread) => thread.close()))
  } catch (cause: unknown) {
    // The cause of the thread's error is what the user can act on.
    throw cause instanceof ThreadFailure && cause.cause !== undefined ? cause.cause : cause
  } finally {
    await Promise.all(pool.map((thread) => thread.end()))
    await pieces.return()
  }
}
