// The collections of all callers, each in its own file: a search cannot see, count or rank another caller's documents.
import { SearchFault } from './fault.ts'
import { createLearning, type LearningOptions } from './learning.ts'
import { createPause } from './pause.ts'
import type { Request, Result } from './schemas.ts'
import { createShelf, type Entry, type ShelfOptions } from './shelf.ts'
import { createTokenizer } from './tokenizer.ts'

export type EngineOptions = ShelfOptions & LearningOptions
/** `caller`: verified SPIFFE ID. */
export type Engine = {
  /** @throws {SearchFault}, and the signal's reason when it aborts; nothing has changed then */
  run(caller: string, request: Request, signal: AbortSignal): Promise<Result>
  /** Waits for running calls, stops training, closes the files. */
  close(): Promise<void>
}

export function createEngine(options: EngineOptions): Engine {
  const tokenizer = createTokenizer()
  const closing = new AbortController()
  const shelf = createShelf(options, tokenizer)
  const learning = createLearning(options, { shelf, closing: closing.signal })
  const running = new Set<Promise<unknown>>()
  let closed: Promise<void> | undefined

  return {
    run: (caller, request, signal) => {
      const run = attempt(caller, request, signal)
      const ended = run.catch(() => undefined).finally(() => running.delete(ended))
      running.add(ended)
      return run
    },
    close: () => (closed ??= closeAll()),
  }

  async function closeAll(): Promise<void> {
    closing.abort(new SearchFault('INDEX_UNAVAILABLE', 'the index is being closed'))
    await Promise.all(running)
    await shelf.close()
    tokenizer.close()
  }

  async function attempt(caller: string, request: Request, signal: AbortSignal): Promise<Result> {
    try {
      closing.signal.throwIfAborted()
      const entry = shelf.entryOf(caller, request.operation === 'index')
      if (entry === undefined) return nothingIn(request)
      return await shelf.use(entry, () => perform(entry, request, signal))
    } catch (cause: unknown) {
      if (signal.aborted) throw cause
      throw isStorageFault(cause) ? new SearchFault('INDEX_UNAVAILABLE', 'the index failed', { cause }) : cause
    }
  }

  async function perform(entry: Entry, request: Request, signal: AbortSignal): Promise<Result> {
    const { collection, turns } = entry
    const pause = createPause(AbortSignal.any([signal, closing.signal]))
    switch (request.operation) {
      case 'index':
        return turns.write(() => collection.index(request.documents, pause)).finally(() => learning.whenQuiet(entry))
      case 'delete':
        return turns.write(() => collection.remove(request.ids, pause)).finally(() => learning.whenQuiet(entry))
      case 'search':
        await learning.forSearch(entry)
        return turns.read(() => collection.search(request, pause))
    }
  }
}

function nothingIn(request: Request): Result {
  return request.operation === 'search'
    ? { operation: 'search', hits: [], documents: 0, semantic: 'off' }
    : { operation: 'delete', deleted: 0, documents: 0 }
}

/** A fault of SQLite or the file system: both set a code. */
function isStorageFault(error: unknown): boolean {
  return error instanceof Error && !(error instanceof SearchFault) && 'code' in error
}
