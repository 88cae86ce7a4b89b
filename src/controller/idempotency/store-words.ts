// The messages between the store thread and its owner.
import type { Begun, Claim, Ending, StoreCounts } from './key-store.ts'

/** How many keys, and bytes of answers, the store may have; see docs/worker-protocol.md for the reasons. */
export type StoreLimits = {
  readonly keysPerCaller: number
  readonly keys: number
  readonly bytesPerCaller: number
  readonly bytes: number
  readonly ttlMs: number
}

/** What starts the thread. `owner`: this controller in this process. */
export type StoreTask = { readonly file: string; readonly owner: string; readonly limits: StoreLimits }

/** Claims of this owner that are not over: `running`, or ended while the store was away. */
export type Held = readonly (readonly [decisionId: string, state: 'running' | 'unknown' | 'free'])[]

export type StoreRequest = { readonly nowMs: number } & (
  | { readonly kind: 'open'; readonly held: Held }
  | { readonly kind: 'begin'; readonly claim: Claim }
  | { readonly kind: 'end'; readonly claim: Claim; readonly ending: Ending }
  | { readonly kind: 'sweep'; readonly held: Held }
)

/** `full`: a limit of keys is reached. `away`: the store cannot be used until it is opened again. */
export type StoreReply =
  | { readonly kind: 'counts'; readonly counts: StoreCounts }
  | { readonly kind: 'begun'; readonly begun: Begun }
  | { readonly kind: 'full' }
  | { readonly kind: 'ended'; readonly ok: boolean }
  | { readonly kind: 'away'; readonly reason: string; readonly message: string }
