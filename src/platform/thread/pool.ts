// A pool of threads, each lent to one call at a time, in order of arrival. A failed thread is replaced when there is work
// again, but only after it has ended: there are never more threads than `threads`.
import { ThreadFailure } from './failure.ts'
import { startThread, type Thread, type ThreadOptions } from './thread.ts'

type ThreadPoolOptions = Omit<ThreadOptions, 'onNews' | 'onFailure'> & { readonly threads: number }

export type ThreadPool<Request, Reply> = {
  /**
   * Lends a thread to `work`. Rejects with the signal's reason if the signal aborts before `work` has begun; afterwards `work`
   * itself must react to the signal. @throws {ThreadFailure} `closed`
   */
  readonly use: <T>(signal: AbortSignal, work: (thread: Thread<Request, Reply>) => Promise<T>) => Promise<T>
  /** Ends all threads and starts no more. */
  readonly close: () => Promise<void>
}

type Waiting<T> = { readonly resolve: (thread: T) => void; readonly reject: (reason: unknown) => void }

export function createThreadPool<Request, Reply>(options: ThreadPoolOptions): ThreadPool<Request, Reply> {
  type Lent = Thread<Request, Reply>
  const threads = new Set<Lent>()
  const busy = new Set<Lent>()
  const waiting: Waiting<Lent>[] = []
  let closed = false

  return {
    use: async (signal, work) => {
      signal.throwIfAborted()
      if (closed) throw closedFailure()
      const thread = await untilLent(waiting, signal, lend)
      try {
        return await work(thread)
      } finally {
        busy.delete(thread)
        if (!thread.isAlive()) drop(thread)
        lend()
      }
    },
    close: async () => {
      closed = true
      for (const { reject } of waiting.splice(0)) reject(closedFailure())
      await Promise.all([...threads].map((thread) => thread.end()))
    },
  }

  function lend(): void {
    while (waiting.length > 0 && !closed) {
      const thread = idleThread() ?? newThread()
      if (thread === undefined) return
      busy.add(thread)
      waiting.shift()?.resolve(thread)
    }
  }

  function idleThread(): Lent | undefined {
    const idle = [...threads].filter((thread) => !busy.has(thread))
    for (const thread of idle) if (!thread.isAlive()) drop(thread)
    return idle.find((thread) => thread.isAlive())
  }

  function newThread(): Lent | undefined {
    if (threads.size >= options.threads) return undefined
    const thread = startThread<Request, Reply>(options)
    threads.add(thread)
    return thread
  }

  function drop(thread: Lent): void {
    void thread.end().then(() => {
      threads.delete(thread)
      lend()
    })
  }
}

/** Waits in the queue, and leaves it when the signal aborts. */
async function untilLent<T>(waiting: Waiting<T>[], signal: AbortSignal, lend: () => void): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const one = { resolve, reject }
  const onAbort = (): void => {
    const at = waiting.indexOf(one)
    if (at < 0) return
    waiting.splice(at, 1)
    reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  waiting.push(one)
  lend()
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function closedFailure(): ThreadFailure {
  return new ThreadFailure('closed', 'the thread pool is closed')
}
