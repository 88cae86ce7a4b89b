// Runs the engine in its own thread: started at the first call, replaced after a crash, closed in an orderly way.
import { startThread, threadEntry, ThreadFailure, type Thread } from '../../worker/threads.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { SearchFault } from './fault.ts'
import type { ThreadReply, ThreadRequest } from './messages.ts'

type IndexThreadOptions = EngineOptions & { readonly entry?: URL; readonly maxHeapMb?: number }

const ENTRY = threadEntry('thread-main', import.meta.url)
const MAX_HEAP_MB = 1024

/** An Engine that runs in another thread; a cancelled call rejects at once. */
export function createIndexThread({ entry = ENTRY, maxHeapMb = MAX_HEAP_MB, ...data }: IndexThreadOptions): Engine {
  let thread: Thread<ThreadRequest, ThreadReply> | undefined
  let closed = false

  return {
    run: async (caller, request, signal) => {
      signal.throwIfAborted()
      if (closed) throw new SearchFault('INDEX_UNAVAILABLE', 'the index is being closed')
      if (thread?.isAlive() !== true) {
        thread = startThread({ entry, name: 'semantic search', data, maxHeapMib: maxHeapMb })
      }
      const reply = await thread.ask({ caller, request }, { signal, onAbort: 'cancel' }).catch((cause: unknown) => {
        throw cause instanceof ThreadFailure ? faultOf(cause) : cause
      })
      if (reply.kind === 'done') return reply.result
      throw new SearchFault(reply.code, reply.message, { cause: new Error(reply.cause) })
    },
    close: async () => {
      closed = true
      await thread?.close()
    },
  }
}

/** An unexpected error is passed on; without its thread, the index is unavailable until the next call. */
function faultOf(failure: ThreadFailure): Error {
  if (failure.reason === 'fault') return failure
  return new SearchFault('INDEX_UNAVAILABLE', 'the index failed and is restarting; try again', { cause: failure })
}
