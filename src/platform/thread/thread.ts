// A worker thread that answers requests. One rule about the process: the thread keeps it alive exactly while a reply is
// outstanding or the thread is closing. A failed thread stays failed; its owner starts another one.
import { getCompileCacheDir } from 'node:module'
import { dirname, extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { failureOf, ThreadFailure } from './failure.ts'
import { threadCpuMs, watchLimits, type ReadCpuMs, type RequestLimits } from './limits.ts'
import type { FromThread, ToThread } from './messages.ts'

export type ThreadOptions<News = never> = {
  /** A file that calls `serveThread`. */
  readonly entry: URL
  /** The name in debuggers and profiles. */
  readonly name: string
  /** Passed to the thread's start function; it must be cloneable. */
  readonly data?: unknown
  /** Its environment variables; default: none but that of the compile cache of this process, if it has one. */
  readonly env?: NodeJS.Dict<string>
  readonly maxHeapMib?: number
  /** Receives the thread's unsolicited messages. */
  readonly onNews?: (news: News) => void
  /** Called at most once, and not after `end` or `close`. */
  readonly onFailure?: (failure: ThreadFailure) => void
  readonly readCpuMs?: ReadCpuMs
}

type AskOptions = {
  readonly signal?: AbortSignal
  /** `end`: an abort terminates the thread. `cancel`: the thread is notified and continues with its other requests. */
  readonly onAbort?: 'end' | 'cancel'
  readonly limits?: RequestLimits
  readonly transfer?: readonly ArrayBuffer[]
}

export type Thread<Request, Reply> = {
  /** @throws {ThreadFailure}, or the signal's reason as soon as the signal aborts */
  readonly ask: (request: Request, options?: AskOptions) => Promise<Reply>
  /** False: the thread accepts no more requests. */
  readonly isAlive: () => boolean
  /** Terminates the thread at once; requests fail with `closed`. Resolves when it has ended. */
  readonly end: () => Promise<void>
  /** Lets the thread answer its open requests and release its resources. Resolves when it has ended. */
  readonly close: () => Promise<void>
}

/** The entry file of a thread, beside its owner and with the owner's extension: .ts in the repository, .js in a package. */
export function threadEntry(name: string, ownerUrl: string): URL {
  return new URL(`./${name}${extname(ownerUrl)}`, ownerUrl)
}

export function startThread<Request, Reply, News = never>(options: ThreadOptions<News>): Thread<Request, Reply> {
  return new RunningThread<Request, Reply, News>(options)
}

/**
 * A thread does not take over the compile cache of its process; with it, it starts in about half the time. The cache is a folder below the one that the variable names.
 */
function compileCache(): NodeJS.Dict<string> {
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

type Owed<Reply> = {
  readonly resolve: (reply: Reply) => void
  readonly reject: (reason: unknown) => void
  readonly watch: () => () => void
  stopWatch: () => void
}

class RunningThread<Request, Reply, News> implements Thread<Request, Reply> {
  readonly #options: ThreadOptions<News>
  readonly #worker: Worker
  readonly #gone: Promise<void>
  /** Outstanding replies, including those whose caller no longer waits. */
  readonly #owed = new Map<number, Owed<Reply>>()
  #lastId = 0
  #isReady = false
  #isClosing = false
  #failure: ThreadFailure | undefined

  constructor(options: ThreadOptions<News>) {
    this.#options = options
    this.#worker = new Worker(options.entry, {
      name: options.name,
      env: { ...compileCache(), ...options.env },
      workerData: options.data,
      // The thread's output is discarded, since the log is JSON. It is not read either: reading would keep the process alive.
      stdout: true,
      stderr: true,
      resourceLimits: options.maxHeapMib === undefined ? {} : { maxOldGenerationSizeMb: options.maxHeapMib },
    })
    this.#worker.unref()
    this.#worker.on('message', (message: FromThread<Reply, News>) => this.#hear(message))
    this.#worker.on('messageerror', (error: unknown) => this.#fail(failureOf(error)))
    this.#worker.on('error', (error: unknown) => this.#fail(failureOf(error)))
    this.#gone = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail(new ThreadFailure('exited', 'a thread ended'))
        resolve()
      })
    })
  }

  readonly isAlive = (): boolean => this.#failure === undefined && !this.#isClosing

  readonly ask = async (request: Request, options: AskOptions = {}): Promise<Reply> => {
    const { signal, onAbort = 'end', limits = {}, transfer = [] } = options
    signal?.throwIfAborted()
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosing) throw closedFailure()
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const id = ++this.#lastId
    const abort = (): void => {
      reject(signal?.reason)
      if (onAbort === 'end')
        this.#fail(new ThreadFailure('aborted', 'the thread was terminated because a call was aborted'))
      else this.#send({ kind: 'cancel', id })
    }
    this.#send({ kind: 'ask', id, request }, transfer)
    const watch = (): (() => void) => {
      // The start of the thread does not count against the request's limits, except that it must end in time.
      const now = this.#isReady ? limits : { wallMs: limits.wallMs }
      return watchLimits(this.#worker, now, this.#options.readCpuMs ?? threadCpuMs, (failure) => this.#fail(failure))
    }
    const owed: Owed<Reply> = { resolve, reject, watch, stopWatch: watch() }
    this.#owed.set(id, owed)
    this.#worker.ref()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      owed.stopWatch()
    }
  }

  readonly end = async (): Promise<void> => {
    this.#isClosing = true
    this.#fail(closedFailure())
    await this.#gone
  }

  readonly close = async (): Promise<void> => {
    if (this.isAlive()) this.#send({ kind: 'close' })
    this.#isClosing = true
    this.#worker.ref()
    await this.#gone
  }

  #send(message: ToThread<Request>, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  #hear(message: FromThread<Reply, News>): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true
        this.#watchFromNow()
        return
      case 'news':
        this.#options.onNews?.(message.news)
        return
      case 'reply':
        this.#settle(message.id)?.resolve(message.reply)
        return
      case 'fault':
        this.#settle(message.id)?.reject(new ThreadFailure('fault', message.message))
        return
      default:
        message satisfies never
    }
  }

  /** A request that was sent before the thread was ready gets its full time from now on. */
  #watchFromNow(): void {
    for (const owed of this.#owed.values()) {
      owed.stopWatch()
      owed.stopWatch = owed.watch()
    }
  }

  #settle(id: number): Owed<Reply> | undefined {
    const owed = this.#owed.get(id)
    this.#owed.delete(id)
    if (this.#owed.size === 0 && !this.#isClosing) this.#worker.unref()
    return owed
  }

  #fail(failure: ThreadFailure): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    for (const { reject } of this.#owed.values()) reject(failure)
    this.#owed.clear()
    void this.#worker.terminate()
    if (!this.#isClosing) this.#options.onFailure?.(failure)
  }
}

function closedFailure(): ThreadFailure {
  return new ThreadFailure('closed', 'the thread is closed')
}
