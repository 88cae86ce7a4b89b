// The engine in a thread of its own: started at the first call, replaced after a crash, closed in an orderly way.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Engine, EngineOptions } from './engine.ts'
import { SearchFault } from './fault.ts'
import type { FromThread, ToThread } from './messages.ts'
import type { Result } from './schemas.ts'

export type IndexThreadOptions = EngineOptions & { readonly entry?: URL; readonly maxHeapMb?: number }

// Beside this file, with its ending: .ts in the repository, .js in the package.
const ENTRY = new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url)
const MAX_HEAP_MB = 1024

type Waiting = { readonly resolve: (result: Result) => void; readonly reject: (reason: unknown) => void }
type Thread = { readonly worker: Worker; readonly calls: Map<number, Waiting>; readonly ended: Promise<void> }

/** An Engine that answers from another thread; a call that is cancelled is given up at once. */
export function createIndexThread({ entry = ENTRY, maxHeapMb = MAX_HEAP_MB, ...data }: IndexThreadOptions): Engine {
  let thread: Thread | undefined
  let closed = false
  let nextId = 1

  return {
    run: async (caller, request, signal) => {
      signal.throwIfAborted()
      if (closed) throw new SearchFault('INDEX_UNAVAILABLE', 'the index is being closed')
      const { worker, calls } = (thread ??= startThread())
      const { promise, resolve, reject } = Promise.withResolvers<Result>()
      const id = nextId++
      const onAbort = (): void => {
        send(worker, { kind: 'cancel', id })
        reject(signal.reason)
      }
      calls.set(id, { resolve, reject })
      worker.ref()
      signal.addEventListener('abort', onAbort, { once: true })
      send(worker, { kind: 'run', id, caller, request })
      try {
        return await promise
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
    close: async () => {
      closed = true
      if (thread === undefined) return
      send(thread.worker, { kind: 'close' })
      thread.worker.ref()
      await thread.ended
    },
  }

  function startThread(): Thread {
    const resourceLimits = { maxOldGenerationSizeMb: maxHeapMb }
    const worker = new Worker(entry, {
      name: 'semantic search',
      workerData: data,
      env: {},
      stdout: true,
      stderr: true,
      resourceLimits,
    })
    // The log is JSON: nothing else goes to the console.
    worker.stdout.resume()
    worker.stderr.resume()
    worker.unref()
    const { promise: ended, resolve } = Promise.withResolvers<undefined>()
    const started: Thread = { worker, calls: new Map(), ended }
    const end = (cause: unknown): void => {
      if (thread === started) thread = undefined
      const fault = new SearchFault('INDEX_UNAVAILABLE', 'the index broke down and starts again', { cause })
      for (const { reject } of started.calls.values()) reject(fault)
      started.calls.clear()
      resolve(undefined)
    }
    worker.on('message', (message: FromThread) => settle(started, message))
    worker.on('error', end)
    worker.on('exit', (code) => end(new Error(`the thread ended with code ${code}`)))
    return started
  }
}

function settle({ worker, calls }: Thread, message: FromThread): void {
  const call = calls.get(message.id)
  calls.delete(message.id)
  // A thread that only waits or learns does not keep the process.
  if (calls.size === 0) worker.unref()
  switch (message.kind) {
    case 'done':
      call?.resolve(message.result)
      return
    case 'fault':
      call?.reject(new SearchFault(message.code, message.message, { cause: new Error(message.cause) }))
      return
    case 'failed':
      call?.reject(new Error(message.message))
      return
    case 'cancelled':
      return
    default:
      message satisfies never
  }
}

function send(worker: Worker, message: ToThread): void {
  worker.postMessage(message)
}
