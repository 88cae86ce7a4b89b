// The open collections, one per caller: a file is opened at its first use, and closed when too many are open.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCollection, type Collection } from './collection.ts'
import { SearchFault } from './fault.ts'
import { KEEP_LIMITS, type KeepLimits } from './limits.ts'
import type { Tokenizer } from './tokenizer.ts'
import { createTurns, type Turns } from './turns.ts'

export type ShelfOptions = {
  /** Created for the first document, with mode 0700. */
  readonly dir: string
  readonly limits?: KeepLimits
  /** Maximum number of unused files that stay open. */
  readonly maxOpen?: number
}
/** `fitting` and `timer` belong to the training: an entry in training stays open. */
export type Entry = {
  readonly collection: Collection
  readonly turns: Turns
  users: number
  fitting: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
}
export type Shelf = {
  /** Undefined: the caller keeps nothing, and `create` is false. @throws {SearchFault} `LIMIT_EXCEEDED` */
  readonly entryOf: (caller: string, create: boolean) => Entry | undefined
  /** Keeps the entry open until `work` has ended. */
  readonly use: <T>(entry: Entry, work: () => Promise<T>) => Promise<T>
  /** Waits for running trainings, then closes every file. */
  readonly close: () => Promise<void>
}

const MAX_OPEN = 16

export function createShelf(options: ShelfOptions, tokenizer: Tokenizer): Shelf {
  const { dir, limits = KEEP_LIMITS, maxOpen = MAX_OPEN } = options
  /** In order of use, the most recent last. */
  const entries = new Map<string, Entry>()

  return {
    entryOf(caller, create) {
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
    },
    async use(entry, work) {
      entry.users += 1
      try {
        return await work()
      } finally {
        entry.users -= 1
        closeUnused()
      }
    },
    async close() {
      for (const { fitting } of entries.values()) await fitting
      for (const caller of [...entries.keys()]) closeEntry(caller)
    },
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

function checkCallers(dir: string, callers: number): void {
  if (readdirSync(dir).filter((name) => name.endsWith('.db')).length < callers) return
  throw new SearchFault('LIMIT_EXCEEDED', `this worker keeps documents for at most ${callers} callers`)
}
