// The threads of a replay: each free thread gets a block of lines and returns a tally. Only a few blocks are in memory,
// for any length of the log.
import { availableParallelism } from 'node:os'
import { ThreadFailure } from '../../platform/thread/failure.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import type { Tally } from './tally.ts'
import type { Block, ThreadTask } from './words.ts'

const ENTRY = threadEntry('thread-main', import.meta.url)
/** One in progress and one waiting, so that no thread waits for the reader. */
const BLOCKS_PER_THREAD = 2

/** One per processor, but no more than there are blocks. */
export function threadsFor(blocks: number): number {
  return Math.max(1, Math.min(availableParallelism(), blocks))
}

/** Tallies every block, in any order; `onTally` receives its size in bytes. Rejects when reading or a thread fails. */
export async function tallyBlocks(
  blocks: AsyncGenerator<Uint8Array<ArrayBuffer>, void>,
  task: ThreadTask,
  onTally: (tally: Tally, bytes: number) => void,
  threads: number,
): Promise<void> {
  const pool = Array.from({ length: threads }, () =>
    startThread<Block, Tally>({ entry: ENTRY, name: 'replay', data: task }),
  )
  const lane = async (thread: Thread<Block, Tally>): Promise<void> => {
    for (let next = await blocks.next(); next.done !== true; next = await blocks.next()) {
      const bytes = next.value.byteLength
      onTally(await thread.ask({ bytes: next.value }, { transfer: [next.value.buffer] }), bytes)
    }
  }
  try {
    await Promise.all(pool.flatMap((thread) => Array.from({ length: BLOCKS_PER_THREAD }, () => lane(thread))))
  } catch (cause: unknown) {
    // The cause of the thread's error is what the user can act on.
    throw cause instanceof ThreadFailure && cause.cause !== undefined ? cause.cause : cause
  } finally {
    await Promise.all(pool.map((thread) => thread.end()))
    await blocks.return()
  }
}
