// The one thread that uses the file of the store: node:sqlite is synchronous, and the event loop must never wait for a disk.
import { serveThread } from '../../platform/thread/serve.ts'
import { StoreBatches } from './store-batch.ts'
import type { StoreReply, StoreRequest, StoreTask } from './store-words.ts'

type Waiting = { readonly request: StoreRequest; readonly reply: (reply: StoreReply) => void }

/** One transaction does not become longer than a few milliseconds, however many requests wait. */
const MAX_BATCH = 256

serveThread<StoreTask, StoreRequest, StoreReply>((task) => {
  const batches = new StoreBatches(task)
  let waiting: Waiting[] = []
  const flush = (): void => {
    const batch = nextBatch(waiting)
    waiting = waiting.slice(batch.length)
    const replies = batches.run(batch.map(({ request }) => request))
    for (const [index, answer] of replies.entries()) batch[index]?.reply(answer)
    if (waiting.length > 0) setImmediate(flush)
  }
  return {
    answer: (request) =>
      new Promise<StoreReply>((reply) => {
        // All messages that have arrived are read before the flush: while one transaction runs, the next batch gathers.
        if (waiting.push({ request, reply }) === 1) setImmediate(flush)
      }),
    close() {
      batches.close(Date.now())
      return Promise.resolve()
    },
  }
})

/** `open` begins a batch of its own. */
function nextBatch(waiting: readonly Waiting[]): Waiting[] {
  const next = waiting.findIndex(({ request }, index) => index > 0 && request.kind === 'open')
  return waiting.slice(0, Math.min(MAX_BATCH, next === -1 ? waiting.length : next))
}
