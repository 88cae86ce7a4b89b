// A registration in the shared store: one entry per worker, `{"v":1, …}`, as each controller of the mesh reads and writes it.
import { hash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { misfitOf } from '../../core/misfit.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import { RegisterBody } from '../../core/wire.ts'
import type { RememberedWorker } from '../routing/hint-format.ts'
import { LEASE_HASH, type LeaseHash } from '../routing/lease.ts'
import { keyOf, type Holder } from '../routing/registry.ts'

/** `body` undefined: the worker has left, or was evicted. `replaced`: who lost the worker id to it. */
export type LeaseEntry = Omit<RememberedWorker, 'body'> & {
  readonly workerId: string
  readonly body: RegisterBody | undefined
  readonly replaced: ReadonlySet<string>
}

const StoredEntry = Type.Object({
  v: Type.Literal(1),
  spiffe_id: Type.String(),
  worker_id: Type.String({ minLength: 1, maxLength: 256 }),
  lease_sha256: Type.String({ pattern: LEASE_HASH }),
  registered_at: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
  replaced: Type.Optional(Type.Array(Type.String(), { maxItems: 8 })),
  registration: Type.Optional(RegisterBody),
})
const validator = Compile(StoredEntry)

/** The key of a worker in the store: a SPIFFE ID has characters that a key may not have. */
export function storeKeyOf(worker: Pick<Holder, 'spiffeId' | 'workerId'>): string {
  return hash('sha256', keyOf(worker), 'base64url')
}

export function encodeEntry({ spiffeId, workerId, leaseHash, registeredAt, body, replaced }: LeaseEntry): string {
  const stored: Static<typeof StoredEntry> = {
    v: 1,
    spiffe_id: spiffeId,
    worker_id: workerId,
    lease_sha256: leaseHash,
    registered_at: registeredAt,
    ...(replaced.size > 0 && { replaced: [...replaced] }),
    ...(body !== undefined && { registration: body }),
  }
  return JSON.stringify(stored)
}

/** @throws {Error} that says why it is none, or not the one of this key */
export function decodeEntry(key: string, text: string): LeaseEntry {
  const value: unknown = JSON.parse(text)
  if (!validator.Check(value)) throw new Error(misfitOf(validator, value))
  const { spiffe_id, worker_id: workerId, lease_sha256, registered_at: registeredAt, registration: body } = value
  const spiffeId: SpiffeId = parseSpiffeId(spiffe_id)
  if (storeKeyOf({ spiffeId, workerId }) !== key || (body !== undefined && body.worker_id !== workerId)) {
    throw new Error('it is stored under the key of another worker')
  }
  const replaced = new Set(value.replaced ?? [])
  return { spiffeId, workerId, leaseHash: lease_sha256 as LeaseHash, registeredAt, body, replaced }
}

/**
 * Whether `one` is the truth where both are known, whichever came first: the end of a registration counts over the
 * registration, and of two registrations of one worker the later.
 */
export function supersedes(one: LeaseEntry, other: LeaseEntry): boolean {
  if (one.leaseHash === other.leaseHash) return one.body === undefined && other.body !== undefined
  if (one.registeredAt !== other.registeredAt) return one.registeredAt > other.registeredAt
  return one.leaseHash > other.leaseHash
}
