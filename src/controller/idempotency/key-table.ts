// The rules of the store, on an open database: states, expiry, limits. Answers are dropped when they are too many, the least
// recently used first; keys never are: a key whose answer was dropped is `unknown`, so nothing runs twice within the hour.
import type { DatabaseSync } from 'node:sqlite'
import type { Begun, Claim, Ending, StoreCounts, StoredAnswer } from './key-store.ts'
import { Ledger } from './ledger.ts'
import { prepareStatements, type KeyRow, type Statements } from './statements.ts'
import type { Held, StoreLimits } from './store-words.ts'

type KeyTableOptions = {
  readonly database: DatabaseSync
  readonly owner: string
  /** Of this process, for other processes: see owner.ts. */
  readonly process: string
  readonly isAlive: (process: string) => boolean
  readonly limits: StoreLimits
}

/** Expired keys are removed in steps of this many: a step takes some milliseconds, and calls wait for it. */
const SWEPT_AT_ONCE = 2000
/** The bookkeeping of an answer in the file, besides its body. */
const ANSWER_OVERHEAD = 256
/** A claim without a running call is younger than this only if the answer about it is still on its way. */
const SETTLED_MS = 60_000
const FREED_PAGES = 512

/** All methods run inside the caller's transaction. After a failed one the table is useless: make another. */
export class KeyTable {
  readonly #database: DatabaseSync
  readonly #owner: string
  readonly #limits: StoreLimits
  readonly #isAlive: (process: string) => boolean
  readonly #sql: Statements
  readonly #ledger: Ledger

  constructor({ database, owner, process, isAlive, limits }: KeyTableOptions) {
    this.#database = database
    this.#owner = owner
    this.#limits = limits
    this.#isAlive = isAlive
    this.#sql = prepareStatements(database)
    this.#sql.addOwner.run(owner, process)
    this.#ledger = new Ledger(this.#sql.totals.all())
  }

  begin({ id, caller, fingerprint, decisionId }: Claim, nowMs: number): Begun | 'full' {
    const row = this.#sql.find.get(id)
    if (row !== undefined && !isExpired(row, nowMs)) return this.#known(row, id, fingerprint, nowMs)
    if (row !== undefined) this.#remove(row, id)
    if (this.#isFull(caller)) {
      this.#removeExpired(nowMs)
      if (this.#isFull(caller)) return 'full'
    }
    this.#sql.insert.run(id, caller, fingerprint, this.#owner, decisionId, nowMs)
    this.#ledger.added(caller, 'in_flight')
    return { state: 'begun' }
  }

  /** False: the claim does not hold the key (any more). */
  end({ id, caller, decisionId }: Claim, ending: Ending, nowMs: number): boolean {
    const row = this.#sql.find.get(id)
    if (row?.state !== 'in_flight' || row.decision_id !== decisionId) return false
    const expiresMs = nowMs + this.#limits.ttlMs
    switch (ending.to) {
      case 'free':
        this.#remove(row, id)
        return true
      case 'unknown':
        this.#forget(row, id, expiresMs)
        return true
      case 'done': {
        const { text, body } = pack(ending.answer)
        const bytes = body.length + text.length + ANSWER_OVERHEAD
        this.#makeRoom(caller, bytes)
        this.#sql.addAnswer.run(id, text, body)
        this.#sql.finish.run(expiresMs, nowMs, bytes, id)
        this.#ledger.moved(row, { state: 'done', bytes })
        return true
      }
      default:
        return ending satisfies never
    }
  }

  /** Rows of this owner that no call holds, and rows of dead owners. `settledMs`: see SETTLED_MS; 0 when no call is under way. */
  reconcile(held: Held, nowMs: number, settledMs = SETTLED_MS): void {
    const known = new Map(held)
    const expiresMs = nowMs + this.#limits.ttlMs
    for (const row of this.#sql.heldBy.all(this.#owner)) {
      const state = known.get(row.decision_id)
      if (state === 'running' || row.used_ms > nowMs - settledMs) continue
      if (state === 'unknown') this.#forget(row, row.id, expiresMs)
      // The answer "begun" never arrived, so nothing was sent.
      else this.#remove(row, row.id)
    }
    for (const { owner, process } of this.#sql.otherOwners.all(this.#owner)) {
      if (this.#isAlive(process)) continue
      for (const row of this.#sql.heldBy.all(owner)) this.#forget(row, row.id, expiresMs)
      this.#sql.removeOwner.run(owner)
    }
  }

  sweep(held: Held, nowMs: number): void {
    this.reconcile(held, nowMs)
    this.#removeExpired(nowMs)
    // Other processes change the totals too.
    if (this.#sql.otherOwners.all(this.#owner).length > 0) this.#ledger.load(this.#sql.totals.all())
  }

  /** The end of this owner: nobody knows what becomes of its calls. */
  leave(nowMs: number): void {
    for (const row of this.#sql.heldBy.all(this.#owner)) this.#forget(row, row.id, nowMs + this.#limits.ttlMs)
    this.#sql.removeOwner.run(this.#owner)
  }

  /** Gives freed space back to the file system; outside a transaction. */
  shrink(): void {
    this.#database.exec(`PRAGMA incremental_vacuum(${FREED_PAGES})`)
  }

  counts(): StoreCounts {
    return this.#ledger.counts()
  }

  #known(row: KeyRow, id: Uint8Array, fingerprint: Uint8Array, nowMs: number): Begun {
    if (!Buffer.from(fingerprint).equals(row.fingerprint)) return { state: 'reused' }
    if (row.state !== 'done') return { state: row.state }
    const packed = this.#sql.answer.get(id)
    if (packed === undefined) return { state: 'unknown' }
    this.#sql.use.run(nowMs, id)
    return { state: 'done', decisionId: row.decision_id, answer: unpack(packed.answer, packed.body) }
  }

  #isFull(caller: string): boolean {
    const { keys, keysPerCaller } = this.#limits
    return this.#ledger.keys() >= keys || this.#ledger.of(caller).keys >= keysPerCaller
  }

  #makeRoom(caller: string, bytes: number): void {
    const { bytes: total, bytesPerCaller } = this.#limits
    const drop = (row: (KeyRow & { id: Uint8Array }) | undefined): boolean => {
      if (row !== undefined) this.#forget(row, row.id, row.expires_ms)
      return row !== undefined
    }
    while (this.#ledger.of(caller).bytes + bytes > bytesPerCaller && drop(this.#sql.oldestOf.get(caller)));
    while (this.#ledger.counts().bytes + bytes > total && drop(this.#sql.oldest.get()));
  }

  #removeExpired(nowMs: number): void {
    for (const row of this.#sql.expired.all(nowMs, SWEPT_AT_ONCE)) this.#remove(row, row.id)
  }

  #remove(row: KeyRow, id: Uint8Array): void {
    if (row.answer_bytes > 0) this.#sql.dropAnswer.run(id)
    this.#sql.remove.run(id)
    this.#ledger.removed(row)
  }

  #forget(row: KeyRow, id: Uint8Array, expiresMs: number | null): void {
    if (row.answer_bytes > 0) this.#sql.dropAnswer.run(id)
    this.#sql.forget.run(expiresMs, id)
    this.#ledger.moved(row, { state: 'unknown', bytes: 0 })
  }
}

function isExpired({ expires_ms }: KeyRow, nowMs: number): boolean {
  return expires_ms !== null && expires_ms <= nowMs
}

const NO_BODY = new Uint8Array()

function pack(answer: StoredAnswer): { text: string; body: Uint8Array } {
  if (answer.kind === 'failure') return { text: JSON.stringify(answer), body: NO_BODY }
  const { body, ...head } = answer
  return { text: JSON.stringify(head), body }
}

function unpack(text: string, body: Uint8Array): StoredAnswer {
  const head = JSON.parse(text) as StoredAnswer
  return head.kind === 'failure' ? head : { ...head, body }
}
