// The threads of a replay: blocks of lines go out to whichever is free, tallies come back. A few blocks at a time are in
// memory, however long the log is.
import { availableParallelism } from 'node:os'
import { ThreadFailure } from '../../platform/thread/failure.ts'
import { startThread, threadEntry, type Thread } from '../../platform/thread/thread.ts'
import type { Tally } from './tally.ts'
import type { Block, ThreadTask } from './words.ts'

const ENTRY = threadEntry('thread-main', import.meta.url)
/** One in work and one that waits, so that no thread waits for the reader. */
const BLOCKS_PER_THREAD = 2

/** As many as there are processors, but no more than there is work for. */
export function threadsFor(blocks: number): number {
  return Math.max(1, Math.min(availableParallelism(), blocks))
}

/**
 * Has every block tallied, in no order; `onTally` is told its size in bytes. Rejects when reading fails, or a thread does.
 */
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
    // What the user can do something about is in the error of the thread.
    throw cause instanceof ThreadFailure && cause.cause !== undefined ? cause.cause : cause
  } finally {
    await Promise.all(pool.map((thread) => thread.end()))
    await blocks.return()
  }
}
