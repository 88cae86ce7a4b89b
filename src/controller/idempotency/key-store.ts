// The port of the store of idempotency keys. The step of a call knows only this; the SQLite store is one implementation.
import type { SpiffeId } from '../../core/spiffe-id.ts'

/** One request under a key. `id`: the hash of caller, capability and key; `fingerprint`: the hash of the whole request. */
export type Claim = {
  readonly id: Uint8Array
  readonly fingerprint: Uint8Array
  readonly caller: SpiffeId
  /** Of this request; only the request that holds the key can end it. */
  readonly decisionId: string
  /** How long the call may wait for a store that several controllers share; default: as long as the store waits by itself. */
  readonly waitMs?: number
}

/** A worker's answer. `headers`: a flat list, as the caller got it. `failure`: its error, as the controller reported it. */
export type StoredAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: readonly string[]
      readonly body: Uint8Array
    }
  | {
      readonly kind: 'failure'
      readonly workerId: string | null
      readonly reason: string
      readonly reasonCode: string | undefined
    }

/** `begun`: this request holds the key, durably. Otherwise what is known of the first request under the key. */
export type Begun =
  | { readonly state: 'begun' }
  | { readonly state: 'in_flight' }
  | { readonly state: 'unknown' }
  | { readonly state: 'reused' }
  | { readonly state: 'done'; readonly decisionId: string; readonly answer: StoredAnswer }

/** How the request that holds the key ended. `free`: no worker began, so the key can be used again. */
export type Ending =
  { readonly to: 'done'; readonly answer: StoredAnswer } | { readonly to: 'unknown' } | { readonly to: 'free' }

export type StoreCounts = {
  readonly in_flight: number
  readonly done: number
  readonly unknown: number
  /** The size of all stored answers. */
  readonly bytes: number
}

export type StoreHealth = { readonly ok: boolean; readonly queued: number; readonly counts: StoreCounts }

export type KeyStore = {
  /** Resolves when the claim is durable. @throws {AppError} `idempotency_unavailable`: the call must not go on. */
  readonly begin: (claim: Claim) => Promise<Begun>
  /**
   * Resolves to true when the ending is durable; to false when it is not, and the key is, or will be, `unknown`, or ends as it
   * should when a shared store is back. Never rejects.
   */
  readonly end: (claim: Claim, ending: Ending) => Promise<boolean>
  readonly health: () => StoreHealth
  /** Keys that are still held become `unknown`. */
  readonly close: () => Promise<void>
}
