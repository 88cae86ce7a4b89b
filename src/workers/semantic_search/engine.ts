// The collections of all callers, each in a file of its own: a search cannot see, count or rank what another caller keeps.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCollection, type Collection } from './collection.ts'
import { SearchFault } from './fault.ts'
import { KEEP_LIMITS, type KeepLimits } from './limits.ts'
import { fitModel } from './lsa.ts'
import { createPause } from './pause.ts'
import type { Request, Result } from './schemas.ts'
import { createTokenizer } from './tokenizer.ts'
import { createTurns, type Turns } from './turns.ts'

export type EngineOptions = {
  /** Made at the first document, with mode 0700. */
  readonly dir: string
  readonly limits?: KeepLimits
  /** Files that stay open while nobody uses them. */
  readonly maxOpen?: number
  /** A model is learnt again when a caller has changed nothing for so long, or searches. */
  readonly quietMs?: number
  /** Up to this many terms of all documents, a search waits until the model is that of its documents. */
  readonly waitUpTo?: number
}
/** `caller`: SPIFFE ID, as verified. */
export type Engine = {
  /** @throws {SearchFault}, and the signal's reason when it aborts: then nothing has been changed */
  run(caller: string, request: Request, signal: AbortSignal): Promise<Result>
  /** Waits for what runs, learns nothing more, closes the files. */
  close(): Promise<void>
}

type Entry = {
  readonly collection: Collection
  readonly turns: Turns
  users: number
  fitting: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
}

const MAX_OPEN = 16
const QUIET_MS = 500
const WAIT_UP_TO = 20_000

export function createEngine(options: EngineOptions): Engine {
  const { dir, limits = KEEP_LIMITS, maxOpen = MAX_OPEN, quietMs = QUIET_MS, waitUpTo = WAIT_UP_TO } = options
  const tokenizer = createTokenizer()
  /** The one used last is the last. */
  const entries = new Map<string, Entry>()
  const closing = new AbortController()
  const running = new Set<Promise<unknown>>()
  let lastLarge = Promise.resolve()
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
    for (const { fitting } of entries.values()) await fitting
    for (const caller of [...entries.keys()]) closeEntry(caller)
    tokenizer.close()
  }

  async function attempt(caller: string, request: Request, signal: AbortSignal): Promise<Result> {
    try {
      closing.signal.throwIfAborted()
      const entry = entryOf(caller, request.operation === 'index')
      if (entry === undefined) return nothingIn(request)
      return await use(entry, () => perform(entry, request, signal))
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
        return turns.write(() => collection.index(request.documents, pause)).finally(() => fitWhenQuiet(entry))
      case 'delete':
        return turns.write(() => collection.remove(request.ids, pause)).finally(() => fitWhenQuiet(entry))
      case 'search':
        await fitForSearch(entry)
        return turns.read(() => collection.search(request, pause))
    }
  }

  async function fitForSearch(entry: Entry): Promise<void> {
    const { collection } = entry
    // Twice: the one that runs may have begun before the last change.
    for (let time = 0; time < 2 && collection.isStale(); time += 1) {
      const fitted = fit(entry)
      if (collection.fitCost() > waitUpTo) return
      await fitted
    }
  }

  /** A failure is nobody's call: the older model stays, and the next search tries again. */
  function fit(entry: Entry): Promise<void> {
    clearTimeout(entry.timer)
    entry.fitting ??= learnInTurn(entry)
      .catch(() => undefined)
      .finally(() => {
        entry.fitting = undefined
      })
    return entry.fitting
  }

  /** Large ones one at a time, since each takes a good part of the memory; a small one waits for nobody. */
  function learnInTurn(entry: Entry): Promise<void> {
    if (entry.collection.fitCost() <= waitUpTo) return learn(entry)
    const learnt = lastLarge.then(() => learn(entry))
    lastLarge = learnt.catch(() => undefined)
    return learnt
  }

  async function learn(entry: Entry): Promise<void> {
    const { collection, turns } = entry
    const pause = createPause(closing.signal)
    await use(entry, async () => {
      const gathered = await turns.read(() => collection.gather(pause))
      const fitted = await fitModel(gathered.corpus, pause)
      await turns.write(() => collection.adopt(gathered, fitted, pause))
    })
    if (collection.isStale()) fitWhenQuiet(entry)
  }

  function fitWhenQuiet(entry: Entry): void {
    clearTimeout(entry.timer)
    if (closing.signal.aborted || !entry.collection.isStale()) return
    entry.timer = setTimeout(() => void fit(entry), quietMs)
  }

  /** Undefined: the caller keeps nothing, and is not about to. */
  function entryOf(caller: string, create: boolean): Entry | undefined {
    const known = entries.get(caller)
    if (known !== undefined) {
      entries.delete(caller)
      entries.set(caller, known)
      return known
    }
    const file = join(dir, `${createHash('sha256').update(caller).digest('hex').slice(0, 32)}.db`)
    if (!existsSync(file)) {
      if (!create) return undefined
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      checkCallers(dir, limits.callers)
    }
    const collection = openCollection({ file, caller, tokenizer, limits })
    const entry: Entry = { collection, turns: createTurns(), users: 0, fitting: undefined, timer: undefined }
    entries.set(caller, entry)
    return entry
  }

  async function use<T>(entry: Entry, work: () => Promise<T>): Promise<T> {
    entry.users += 1
    try {
      return await work()
    } finally {
      entry.users -= 1
      closeUnused()
    }
  }

  function closeUnused(): void {
    for (const [caller, { users, fitting }] of entries) {
      if (entries.size <= maxOpen) return
      if (users === 0 && fitting === undefined) closeEntry(caller)
    }
  }

  function closeEntry(caller: string): void {
    const entry = entries.get(caller)
    entries.delete(caller)
    clearTimeout(entry?.timer)
    entry?.collection.close()
  }
}

function nothingIn(request: Request): Result {
  return request.operation === 'search'
    ? { operation: 'search', hits: [], documents: 0, semantic: 'off' }
    : { operation: 'delete', deleted: 0, documents: 0 }
}

function checkCallers(dir: string, callers: number): void {
  if (readdirSync(dir).filter((name) => name.endsWith('.db')).length < callers) return
  throw new SearchFault('LIMIT_EXCEEDED', `this worker keeps documents for at most ${callers} callers`)
}

/** Of SQLite or the file system: both tell by a code. */
function isStorageFault(error: unknown): boolean {
  return error instanceof Error && !(error instanceof SearchFault) && 'code' in error
}
