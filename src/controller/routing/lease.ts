// A lease proves that a heartbeat comes from the instance that registered. The controller keeps only its hash: who reads the
// registry on disk can pretend to be nobody.
import { hash } from 'node:crypto'

declare const brand: unique symbol
/** SHA-256 of a lease, in lower-case hex. */
export type LeaseHash = string & { readonly [brand]: 'LeaseHash' }

export const LEASE_HASH = '^[0-9a-f]{64}$'

export function hashOfLease(lease: string): LeaseHash {
  return hash('sha256', lease, 'hex') as LeaseHash
}
