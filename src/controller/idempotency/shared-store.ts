// The store of idempotency keys of a mesh, in NATS: whichever controller a request meets, at most one call under its key reaches
// a worker. A write that has no leader is tried again while the call may wait; what a controller held when it ended is unknown.
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError, type JetStreamClient } from '@nats-io/jetstream'
import type { KV } from '@nats-io/kv'
import { AppError } from '../../core/errors.ts'
import { within } from '../../platform/within.ts'
import { IDEMPOTENCY_BUCKET, isWrongSequence } from '../store/buckets.ts'
import { CallerKeys } from './caller-keys.ts'
import type { Begun, Claim, Ending, KeyStore, StoreCounts } from './key-store.ts'
import { wholeAnswer } from './shared-answer.ts'
import {
  decodeShared,
  encodeShared,
  fingerprintOf,
  keyOf,
  ownerKey,
  partKey,
  type SharedEntry,
} from './shared-entry.ts'

type Session = { readonly js: JetStreamClient; readonly idempotency: KV }

type SharedStoreOptions = {
  /** Undefined: the store is away. */
  readonly session: () => Session | undefined
  /** Unix ms. */
  readonly now: () => number
  readonly monotonic: () => number
  /** Called with the seconds that a call waited for the store. */
  readonly onWritten?: (seconds: number) => void
}

const HOUR_MS = 3_600_000
const RETRY_MS = 100
const WRITE_MS = 2000
/** An election of a leader takes 6.5 s: a caller gets its answer after it. */
const END_MS = 10_000
const CLOSE_MS = 2000
const OWNER_EVERY_MS = 5000
const OWNER_TTL = '20s'
const COUNT_MS = 5000
/** Looks, a second apart, until a write that was not acknowledged counts as never made. */
const SURE_ABSENT = 30
/** Servers take 1 MiB in one message, unless they are configured otherwise; the head needs some of it. */
const ROOM = 768 * 1024
const MAX_BYTES_EXCEEDED = /maximum bytes exceeded|insufficient (storage|resources)/i

type Held = { readonly claim: Claim; revision: number }

export function createSharedStore(options: SharedStoreOptions): KeyStore {
  return new SharedStore(options)
}

class SharedStore implements KeyStore {
  readonly #options: SharedStoreOptions
  readonly #owner = randomUUID()
  readonly #held = new Map<string, Held>()
  readonly #keys: CallerKeys
  readonly #timers: NodeJS.Timeout[]
  #counts: StoreCounts = { in_flight: 0, done: 0, unknown: 0, bytes: 0 }
  #queued = 0
  #ownerMs = -Infinity

  constructor(options: SharedStoreOptions) {
    this.#options = options
    this.#keys = new CallerKeys(options.monotonic)
    this.#timers = [
      setInterval(() => void this.#vouch().catch(nothing), OWNER_EVERY_MS).unref(),
      setInterval(() => void this.#count().catch(nothing), COUNT_MS).unref(),
    ]
  }

  async begin(claim: Claim): Promise<Begun> {
    const { monotonic, onWritten } = this.#options
    const startMs = monotonic()
    const endMs = startMs + (claim.waitMs ?? WRITE_MS)
    if (!this.#keys.has(claim.caller)) throw unavailable('this identity uses too many keys an hour')
    this.#queued++
    let isUncertain = false
    try {
      for (;;) {
        const session = this.#options.session()
        try {
          if (session !== undefined) {
            const trying = this.#tryBegin(session, claim)
            const answer = await within(
              endMs - monotonic(),
              trying.then((begun) => ({ begun })),
            )
            if (answer === undefined) {
              void this.#giveBack(claim, trying)
              throw unavailable('it does not answer in the time of this call')
            }
            const { begun } = answer
            if (begun === undefined) continue
            onWritten?.((monotonic() - startMs) / 1000)
            return begun
          }
        } catch (cause: unknown) {
          if (cause instanceof AppError) throw cause
          // It may be written all the same.
          isUncertain = true
        }
        if (monotonic() + RETRY_MS >= endMs) throw unavailable('the shared store has no leader, or cannot be reached')
        await delay(RETRY_MS)
      }
    } catch (cause: unknown) {
      if (isUncertain) void this.#settleLater(claim, { to: 'free' }).catch(nothing)
      throw cause
    } finally {
      this.#queued--
    }
  }

  /** The call has ended before its key was there. */
  async #giveBack(claim: Claim, trying: Promise<Begun | undefined>): Promise<void> {
    try {
      if ((await trying)?.state === 'begun') await this.end(claim, { to: 'free' })
    } catch {
      await this.#settleLater(claim, { to: 'free' }).catch(nothing)
    }
  }

  async end(claim: Claim, ending: Ending): Promise<boolean> {
    const held = this.#held.get(claim.decisionId)
    if (held === undefined) return false
    this.#held.delete(claim.decisionId)
    if (await this.#settle(held, ending, END_MS)) return true
    // Whoever asks until then is told that it is in progress.
    void this.#settleLater(claim, ending).catch(nothing)
    return false
  }

  health() {
    const counts = { ...this.#counts, in_flight: this.#held.size }
    return { ok: this.#options.session() !== undefined, queued: this.#queued, counts }
  }

  async close(): Promise<void> {
    this.#timers.forEach(clearInterval)
    const held = [...this.#held.values()]
    this.#held.clear()
    await Promise.all(held.map((one) => this.#settle(one, { to: 'unknown' }, CLOSE_MS)))
    await this.#options.session()?.idempotency.delete(ownerKey(this.#owner)).catch(nothing)
  }

  /** Undefined: another word came between, look again. @throws when the store does not answer */
  async #tryBegin(session: Session, claim: Claim, revision = 0): Promise<Begun | undefined> {
    if (this.#options.monotonic() - this.#ownerMs > 2 * OWNER_EVERY_MS) await this.#vouch()
    const entry = this.#entry(claim, 'in_flight', null)
    try {
      const seq = await put(session, keyOf(claim), encodeShared(entry, ROOM).head, revision)
      this.#held.set(claim.decisionId, { claim, revision: seq })
      this.#keys.add(claim.caller)
      return { state: 'begun' }
    } catch (cause: unknown) {
      if (cause instanceof JetStreamApiError && MAX_BYTES_EXCEEDED.test(cause.message)) {
        throw unavailable('the shared store is full')
      }
      if (!isWrongSequence(cause)) throw cause
    }
    const found = await session.idempotency.get(keyOf(claim))
    if (found === null) return undefined
    if (found.operation !== 'PUT') return this.#tryBegin(session, claim, found.revision)
    return this.#known(session, claim, { entry: readEntry(found.value), revision: found.revision })
  }

  async #known(
    session: Session,
    claim: Claim,
    { entry, revision }: { entry: SharedEntry; revision: number },
  ): Promise<Begun | undefined> {
    if (entry.decisionId === claim.decisionId && entry.owner === this.#owner) {
      // The answer to an earlier try was lost, not the write.
      this.#held.set(claim.decisionId, { claim, revision })
      return { state: 'begun' }
    }
    if (entry.expiresMs !== null && entry.expiresMs <= this.#options.now()) {
      return this.#tryBegin(session, claim, revision)
    }
    if (entry.fingerprint !== fingerprintOf(claim)) return { state: 'reused' }
    if (entry.state === 'unknown') return { state: 'unknown' }
    if (entry.state === 'in_flight') {
      if (await this.#isAlive(session, entry.owner)) return { state: 'in_flight' }
      const unknown = { ...entry, state: 'unknown' as const, expiresMs: this.#options.now() + HOUR_MS }
      await put(session, keyOf(claim), encodeShared(unknown, ROOM).head, revision)
      return { state: 'unknown' }
    }
    const answer = await wholeAnswer(session.idempotency, claim, entry)
    return answer === undefined ? { state: 'unknown' } : { state: 'done', decisionId: entry.decisionId, answer }
  }

  async #isAlive(session: Session, owner: string): Promise<boolean> {
    if (owner === this.#owner) return true
    return (await session.idempotency.get(ownerKey(owner)))?.operation === 'PUT'
  }

  /** Tries until the ending is in the store, or is settled by somebody else. */
  async #settle({ claim, revision }: Held, ending: Ending, withinMs: number): Promise<boolean> {
    const { monotonic, session } = this.#options
    const endMs = monotonic() + withinMs
    for (;;) {
      const store = session()
      try {
        if (store !== undefined) return await this.#write(store, { claim, revision }, ending)
      } catch {
        // No leader, or no answer: it is tried again.
      }
      if (monotonic() + RETRY_MS >= endMs) return false
      await delay(RETRY_MS)
    }
  }

  async #write(session: Session, { claim, revision }: Held, ending: Ending): Promise<boolean> {
    const key = keyOf(claim)
    try {
      if (ending.to === 'free') {
        await session.idempotency.delete(key, { previousSeq: revision })
        return true
      }
      const expiresMs = this.#options.now() + HOUR_MS
      const entry = this.#entry(claim, ending.to, expiresMs)
      const { head, parts } = encodeShared(ending.to === 'done' ? { ...entry, answer: ending.answer } : entry, ROOM)
      // First the parts: an answer is whole, or it is not there.
      await Promise.all(parts.map((part, at) => session.idempotency.put(partKey(claim, at), part)))
      await put(session, key, head, revision)
      return true
    } catch (cause: unknown) {
      if (!isWrongSequence(cause)) throw cause
      const found = await session.idempotency.get(key)
      if (found?.operation !== 'PUT') return ending.to === 'free'
      const entry = decodeShared(found.value)
      return entry.decisionId === claim.decisionId && entry.state === ending.to
    }
  }

  /** Nobody waits: what this controller may have written must not stay held, and an answer that was given is worth keeping. */
  async #settleLater(claim: Claim, ending: Ending): Promise<void> {
    const { monotonic } = this.#options
    const endMs = monotonic() + HOUR_MS
    let absent = 0
    while (monotonic() < endMs) {
      const found = await this.#options
        .session()
        ?.idempotency.get(keyOf(claim))
        .catch(() => undefined)
      const entry = found?.operation === 'PUT' ? decodeShared(found.value) : undefined
      if (found && entry?.decisionId === claim.decisionId) {
        if (entry.state !== 'in_flight') return
        if (await this.#settle({ claim, revision: found.revision }, ending, END_MS)) return
        // A leader that has lost its majority does not know what is still on its way.
      } else if (found !== undefined && ++absent > SURE_ABSENT) return
      await delay(END_MS / 10, undefined, { ref: false })
    }
  }

  #entry(claim: Claim, state: SharedEntry['state'], expiresMs: number | null): SharedEntry {
    return { state, expiresMs, fingerprint: fingerprintOf(claim), decisionId: claim.decisionId, owner: this.#owner }
  }

  /** Says that this controller runs. */
  async #vouch(): Promise<void> {
    const session = this.#options.session()
    if (session === undefined) return
    const subject = `$KV.${IDEMPOTENCY_BUCKET}.${ownerKey(this.#owner)}`
    await session.js.publish(subject, '', { ttl: OWNER_TTL, timeout: WRITE_MS })
    this.#ownerMs = this.#options.monotonic()
  }

  async #count(): Promise<void> {
    const status = await this.#options.session()?.idempotency.status()
    if (status === undefined) return
    this.#counts = { in_flight: 0, done: status.values, unknown: 0, bytes: status.size }
  }
}

/** @throws {AppError} `idempotency_unavailable` for an entry of a newer version */
function readEntry(value: Uint8Array): SharedEntry {
  try {
    return decodeShared(value)
  } catch (cause: unknown) {
    throw unavailable(cause instanceof Error ? cause.message : String(cause))
  }
}

function put({ idempotency }: Session, key: string, value: Uint8Array, previousSeq: number): Promise<number> {
  return idempotency.put(key, value, { previousSeq, timeout: WRITE_MS })
}

function unavailable(why: string): AppError {
  return new AppError('idempotency_unavailable', `the store of idempotency keys cannot be used: ${why}`)
}

function nothing(): void {
  // It is tried again by the next turn.
}
