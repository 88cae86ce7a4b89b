// The threads of a replay: blocks of lines go out to whichever is free, tallies come back. A few blocks at a time are in
// memory, however long the log is.
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Tally } from './tally.ts'
import type { BlockMessage, TallyMessage, ThreadTask } from './words.ts'

// Beside this file, with its ending: .ts in the repository, .js in the package.
const THREAD = new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url)
/** One in work and one that waits, so that no thread waits for the reader. */
const BLOCKS_PER_THREAD = 2

type Thread = {
  readonly run: (bytes: Uint8Array<ArrayBuffer>) => Promise<Tally>
  readonly close: () => Promise<number>
}

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
  const pool = Array.from({ length: threads }, () => startThread(task))
  const lane = async (thread: Thread): Promise<void> => {
    for (let next = await blocks.next(); next.done !== true; next = await blocks.next()) {
      const bytes = next.value.byteLength
      onTally(await thread.run(next.value), bytes)
    }
  }
  try {
    await Promise.all(pool.flatMap((thread) => Array.from({ length: BLOCKS_PER_THREAD }, () => lane(thread))))
  } finally {
    await Promise.all(pool.map((thread) => thread.close()))
    await blocks.return()
  }
}

function startThread(task: ThreadTask): Thread {
  const worker = new Worker(THREAD, { name: 'replay', env: {}, workerData: task })
  const waiting = new Map<number, { resolve: (tally: Tally) => void; reject: (cause: Error) => void }>()
  let failure: Error | undefined
  let lastId = 0
  const fail = (cause: Error): void => {
    failure ??= cause
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  worker.on('message', ({ id, tally }: TallyMessage) => {
    waiting.get(id)?.resolve(tally)
    waiting.delete(id)
  })
  worker.on('error', (cause: unknown) => fail(cause instanceof Error ? cause : new Error(String(cause))))
  worker.on('exit', () => fail(new Error('a thread of the replay ended')))
  return {
    run: (bytes) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) {
          reject(failure)
          return
        }
        const id = ++lastId
        waiting.set(id, { resolve, reject })
        worker.postMessage({ id, bytes } satisfies BlockMessage, [bytes.buffer])
      }),
    close: () => worker.terminate(),
  }
}
