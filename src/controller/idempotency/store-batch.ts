// The work of the store thread: one transaction for all requests that wait (group commit), and one answer to each when the
// transaction is on the disk. An error closes the file; its owner opens it again.
import type { DatabaseSync } from 'node:sqlite'
import { KeyTable } from './key-table.ts'
import { isAlive, thisProcess } from './owner.ts'
import { inodeOf, openStoreFile, StoreFileError, storeFault } from './store-file.ts'
import type { StoreReply, StoreRequest, StoreTask } from './store-words.ts'

type Opened = { readonly database: DatabaseSync; readonly table: KeyTable; readonly inode: string | undefined }

/** @example const [reply] = batches.run([{ kind: 'open', held: [], nowMs }]) */
export class StoreBatches {
  readonly #task: StoreTask
  #opened: Opened | undefined

  constructor(task: StoreTask) {
    this.#task = task
  }

  /** Answers in the order of the requests; each answer holds when this returns. Never throws. */
  run(requests: readonly StoreRequest[]): StoreReply[] {
    try {
      const [first] = requests
      if (first?.kind === 'open') this.#open(first)
      const { database, table } = this.#usable()
      const replies = inTransaction(database, () => requests.map((request) => this.#answer(table, request)))
      if (requests.some(({ kind }) => kind === 'sweep')) table.shrink()
      return replies
    } catch (cause: unknown) {
      this.#drop()
      const { reason, message } = storeFault(this.#task.file, cause)
      return requests.map(() => ({ kind: 'away', reason, message }))
    }
  }

  close(nowMs: number): void {
    const opened = this.#opened
    if (opened === undefined) return
    try {
      inTransaction(opened.database, () => opened.table.leave(nowMs))
    } catch {
      // The process ends, and the next one finds a dead owner.
    }
    this.#drop()
  }

  #open({ held, nowMs }: StoreRequest & { kind: 'open' }): void {
    this.#drop()
    const { file, owner, limits } = this.#task
    const database = openStoreFile(file)
    try {
      const table = inTransaction(
        database,
        () => new KeyTable({ database, owner, process: thisProcess(), isAlive, limits }),
      )
      inTransaction(database, () => table.reconcile(held, nowMs, 0))
      this.#opened = { database, table, inode: inodeOf(file) }
    } catch (cause: unknown) {
      database.close()
      throw cause
    }
  }

  #usable(): Opened {
    if (this.#opened !== undefined) return this.#opened
    throw new StoreFileError(this.#task.file, 'the store is not open', 'the controller opens it again')
  }

  #answer(table: KeyTable, request: StoreRequest): StoreReply {
    const { nowMs } = request
    switch (request.kind) {
      case 'open':
        return { kind: 'counts', counts: table.counts() }
      case 'begin': {
        const begun = table.begin(request.claim, nowMs)
        return begun === 'full' ? { kind: 'full' } : { kind: 'begun', begun }
      }
      case 'end':
        return { kind: 'ended', ok: table.end(request.claim, request.ending, nowMs) }
      case 'sweep':
        this.#refuseMoved()
        table.sweep(request.held, nowMs)
        return { kind: 'counts', counts: table.counts() }
      default:
        return request satisfies never
    }
  }

  #refuseMoved(): void {
    if (inodeOf(this.#task.file) === this.#opened?.inode) return
    throw new StoreFileError(this.#task.file, 'the file was moved or deleted', 'the controller makes another one')
  }

  #drop(): void {
    const { database } = this.#opened ?? {}
    this.#opened = undefined
    if (database?.isOpen === true) database.close()
  }
}

function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (cause: unknown) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw cause
  }
}
