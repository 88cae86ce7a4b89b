// A few threads for work on untrusted documents, which can be ended at any point: at an abort, after too long, or when they
// take too much memory. One that was ended is replaced when there is work for it.
import { Worker } from 'node:worker_threads'
import type { ConvertResult, ConvertTask } from './task.ts'
import { ConversionFault, limitFault, type Convert } from './task.ts'
import type { ThreadMessage } from './words.ts'

export type ThreadOptions = {
  /** File of the thread: it posts ThreadMessages and takes ConvertTasks. */
  readonly entry: URL
  readonly threads: number
  /** CPU time of one task. Beyond it: LIMIT_EXCEEDED, since the document is too big. */
  readonly cpuLimitMs: number
  /** Wall-clock time of one task, from when a ready thread has it. Beyond it: CONVERSION_TIMEOUT, which may be retried. */
  readonly wallLimitMs: number
  /** Of a thread's heap, and once more of its buffers. */
  readonly memoryLimitMb: number
  /** CPU time that a thread has used since its start, in milliseconds; default: what the operating system counts. */
  readonly cpuMs?: (worker: Worker) => Promise<number>
}
export type ThreadPool = { readonly convert: Convert; readonly close: () => Promise<void> }

/** The thread failed, not the document. `message` says where, and quotes nothing. */
export class ThreadFailure extends Error {
  override readonly name = 'ThreadFailure'
}

type Job = {
  readonly task: ConvertTask
  readonly signal: AbortSignal
  readonly resolve: (result: ConvertResult<ConvertTask>) => void
  readonly reject: (reason: unknown) => void
  readonly onAbort: () => void
}
type Thread = { readonly worker: Worker; job: Job | undefined; isReady: boolean; stopWatch: () => void }

const WATCH_MS = 100
const MIB = 1024 * 1024

export function createThreadPool(options: ThreadOptions): ThreadPool {
  const { entry, cpuLimitMs, wallLimitMs, memoryLimitMb, cpuMs = threadCpuMs } = options
  const threads = new Set<Thread>()
  const waiting: Job[] = []
  let closed = false

  return {
    convert: async (task, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<ConvertResult<ConvertTask>>()
      signal.throwIfAborted()
      if (closed) throw new ThreadFailure('the threads are closed')
      const job: Job = { task, signal, resolve, reject, onAbort: () => abort(job) }
      signal.addEventListener('abort', job.onAbort, { once: true })
      waiting.push(job)
      startWork()
      // The kind of the result is that of the task.
      return (await promise) as ConvertResult<typeof task>
    },
    async close() {
      closed = true
      for (const job of waiting.splice(0)) settle(job, () => job.reject(new ThreadFailure('the threads are closed')))
      await Promise.all([...threads].map((thread) => end(thread, new ThreadFailure('the threads are closed'))))
    },
  }

  function startWork(): void {
    while (waiting.length > 0) {
      const idle = [...threads].find(({ job }) => job === undefined)
      const thread = idle ?? (threads.size < options.threads ? startThread() : undefined)
      const job = thread === undefined ? undefined : waiting.shift()
      if (thread === undefined || job === undefined) return
      thread.job = job
      thread.worker.ref()
      if (thread.isReady) begin(thread, job)
    }
  }

  function startThread(): Thread {
    const worker = new Worker(entry, {
      name: 'document-conversion',
      env: {},
      // What is printed there goes nowhere. It is not read either: that would keep the process alive.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: memoryLimitMb },
    })
    const thread: Thread = { worker, job: undefined, isReady: false, stopWatch: () => undefined }
    threads.add(thread)
    worker.on('message', (message: ThreadMessage) => onMessage(thread, message))
    worker.on('error', (error: unknown) => void end(thread, failureOf(error)))
    worker.on('exit', () => void end(thread, new ThreadFailure('a thread ended')))
    return thread
  }

  function begin(thread: Thread, { task }: Job): void {
    thread.stopWatch = watch(thread)
    thread.worker.postMessage(task, [task.bytes.buffer])
  }

  function watch(thread: Thread): () => void {
    const { job, worker } = thread
    const timer = setTimeout(() => void end(thread, timedOut(wallLimitMs)), wallLimitMs)
    // A reading may come when its task is done, and the thread at the next one or gone.
    const endIf = (reached: boolean, reason: () => Error): void => {
      if (reached && thread.job === job) void end(thread, reason())
    }
    // Asked for before the task is sent: a thread has used some for what it did before.
    const startMs = cpuMs(worker)
    startMs.catch(() => undefined)
    const interval = setInterval(() => {
      // The heap has its own limit; what is outside of it (inflated streams, pictures) has none.
      worker.getHeapStatistics().then(
        ({ external_memory }) => endIf(external_memory > memoryLimitMb * MIB, () => outOfMemory()),
        () => undefined,
      )
      Promise.all([startMs, cpuMs(worker)]).then(
        ([before, now]) => endIf(now - before > cpuLimitMs, () => tooMuchWork(cpuLimitMs)),
        () => undefined,
      )
    }, WATCH_MS)
    return () => {
      clearTimeout(timer)
      clearInterval(interval)
    }
  }

  function onMessage(thread: Thread, message: ThreadMessage): void {
    const { job } = thread
    if (message.kind === 'ready') {
      thread.isReady = true
      if (job !== undefined) begin(thread, job)
      return
    }
    thread.stopWatch()
    thread.job = undefined
    thread.worker.unref()
    if (job !== undefined) settle(job, () => answer(job, message))
    startWork()
  }

  function abort(job: Job): void {
    const at = waiting.indexOf(job)
    if (at >= 0) waiting.splice(at, 1)
    const thread = [...threads].find((one) => one.job === job)
    if (thread === undefined) settle(job, () => job.reject(job.signal.reason))
    else void end(thread, job.signal.reason)
  }

  /** Ends a thread, and its job with that reason; again for one that has ended: nothing. */
  async function end(thread: Thread, reason: unknown): Promise<void> {
    if (!threads.delete(thread)) return
    const { job } = thread
    thread.job = undefined
    thread.stopWatch()
    if (job !== undefined) settle(job, () => job.reject(reason))
    if (!closed) startWork()
    await thread.worker.terminate()
  }

  function outOfMemory(cause?: unknown): ConversionFault {
    return limitFault(`the conversion needs more than ${memoryLimitMb} MiB of memory`, { cause })
  }

  function failureOf(error: unknown): Error {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ERR_WORKER_OUT_OF_MEMORY') return outOfMemory(error)
    return new ThreadFailure(`a thread failed${typeof code === 'string' ? ` with ${code}` : ''}`)
  }
}

async function threadCpuMs(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage()
  return (user + system) / 1000
}

function tooMuchWork(limitMs: number): ConversionFault {
  return limitFault(`the conversion takes more than ${limitMs} ms of CPU time; split the document`)
}

function timedOut(limitMs: number): ConversionFault {
  const message = `the conversion did not end within ${limitMs} ms, because this node is busy; try again`
  return new ConversionFault('CONVERSION_TIMEOUT', message)
}

function settle({ signal, onAbort }: Job, how: () => void): void {
  signal.removeEventListener('abort', onAbort)
  how()
}

function answer(job: Job, message: Exclude<ThreadMessage, { kind: 'ready' }>): void {
  switch (message.kind) {
    case 'done':
      job.resolve(message.result)
      return
    case 'fault':
      job.reject(new ConversionFault(message.code, message.message))
      return
    case 'failed':
      job.reject(new ThreadFailure(message.place))
      return
    default:
      message satisfies never
  }
}
