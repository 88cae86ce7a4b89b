// What makes two requests the same: the scope of a key, and the fingerprint of a request under it.
import { createHash } from 'node:crypto'
import type { Capability } from '../../core/capability.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'

type Keyed = { readonly caller: SpiffeId; readonly capability: Capability; readonly key: string }

/** A key belongs to a caller and a capability. Hashed, so that the store has no keys, which may be secrets of the caller. */
export function keyIdOf({ caller, capability, key }: Keyed): Buffer {
  // No part can contain a line feed, so no two triples give the same text.
  return createHash('sha256').update(`${caller}\n${capability}\n${key}`).digest()
}

/** `form`: json or raw. `members`: what else decides about the work, in a fixed order; not the priority or the time limit. */
type Fingerprinted = {
  readonly form: string
  readonly contentType: string
  readonly members: readonly string[]
  readonly body: Uint8Array
}

export function fingerprintOf({ form, contentType, members, body }: Fingerprinted): Buffer {
  const head = JSON.stringify([form, contentType, ...members])
  return createHash('sha256').update(`${head}\n`).update(body).digest()
}
