// A worker thread that answers requests. One rule about the process: the thread keeps it alive exactly while the thread owes a
// reply or is closing. A thread that failed stays failed; its owner starts another one.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { failureOf, ThreadFailure } from './failure.ts'
import { threadCpuMs, watchLimits, type ReadCpuMs, type RequestLimits } from './limits.ts'
import type { FromThread, ToThread } from './messages.ts'

export type ThreadOptions<News = never> = {
  /** A file that calls `serveThread`. */
  readonly entry: URL
  /** For debuggers and profiles. */
  readonly name: string
  /** Given to the thread's start; it must be cloneable. */
  readonly data?: unknown
  /** Its environment variables; default: none. */
  readonly env?: NodeJS.Dict<string>
  readonly maxHeapMib?: number
  /** What the thread says without having been asked. */
  readonly onNews?: (news: News) => void
  /** Called once, unless `end` or `close` was. */
  readonly onFailure?: (failure: ThreadFailure) => void
  readonly readCpuMs?: ReadCpuMs
}

type AskOptions = {
  readonly signal?: AbortSignal
  /** `end`: an abort ends the thread, whatever it does. `cancel`: the thread is told, and goes on with its other requests. */
  readonly onAbort?: 'end' | 'cancel'
  readonly limits?: RequestLimits
  readonly transfer?: readonly ArrayBuffer[]
}

export type Thread<Request, Reply> = {
  /** @throws {ThreadFailure}, and the signal's reason as soon as it aborts */
  readonly ask: (request: Request, options?: AskOptions) => Promise<Reply>
  /** False: no request will be answered any more. */
  readonly isAlive: () => boolean
  /** Ends it at once; requests fail with `closed`. Resolves when it is gone. */
  readonly end: () => Promise<void>
  /** Has it answer what it was asked and close what it holds. Resolves when it is gone. */
  readonly close: () => Promise<void>
}

/** The entry of a thread beside its owner, with the owner's ending: .ts in the repository, .js in a package. */
export function threadEntry(name: string, ownerUrl: string): URL {
  return new URL(`./${name}${extname(ownerUrl)}`, ownerUrl)
}

export function startThread<Request, Reply, News = never>(options: ThreadOptions<News>): Thread<Request, Reply> {
  return new RunningThread<Request, Reply, News>(options)
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
  /** Replies that the thread owes, those that nobody waits for any more among them. */
  readonly #owed = new Map<number, Owed<Reply>>()
  #lastId = 0
  #isReady = false
  #isClosing = false
  #failure: ThreadFailure | undefined

  constructor(options: ThreadOptions<News>) {
    this.#options = options
    this.#worker = new Worker(options.entry, {
      name: options.name,
      env: options.env ?? {},
      workerData: options.data,
      // What is printed there goes nowhere, since the log is JSON. It is not read either: that would keep the process alive.
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
        this.#fail(new ThreadFailure('aborted', 'a thread was ended with the call that it worked for'))
      else this.#send({ kind: 'cancel', id })
    }
    this.#send({ kind: 'ask', id, request }, transfer)
    const watch = (): (() => void) => {
      // What a start takes is not for the request to answer for, except that it must come to an end.
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

  /** What was asked before the thread was ready gets its whole time. */
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
