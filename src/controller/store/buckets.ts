// What the mesh keeps in NATS: a bucket for each kind of thing. The first controller makes them.
import { jetstream, JetStreamApiError, type JetStreamClient, type StreamInfo } from '@nats-io/jetstream'
import { Kvm, type KV } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import { withCureForReplicas } from '../../platform/nats/nats-fault.ts'
import { BLOCKS_BUCKET } from '../../platform/nats/shared-buckets.ts'

export type Buckets = {
  readonly js: JetStreamClient
  /** A registration per worker; expires when no controller vouches for it. */
  readonly registry: KV
  /** What operators have drained. */
  readonly drains: KV
  /** A request per idempotency key, and which controllers run. */
  readonly idempotency: KV
  /** What operators have blocked. Controllers only read it. */
  readonly blocks: KV
  /** The keys that all controllers of the mesh share. */
  readonly keys: KV
  /** Asks the leaders for the last revision of each bucket. @throws {Error} when there is no answer in time */
  readonly ask: () => Promise<LastRevision>
}

export type LastRevision = (bucket: KV) => number

/** JetStream's errors of a publish whose expected last sequence is not the last one; the second in a cluster, of two at once. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10_071, 10_164])
export const IDEMPOTENCY_BUCKET = 'crank-idempotency'
const ANSWER_MS = 2000
/** A worker of which no controller hears for so long is gone from the store. */
export const LEASE_MS = 900_000
/** How long a bucket says that an entry has expired: longer than the link of a controller blinks. */
const MARKER_MS = 60_000
/** Longer than an idempotency key is kept after its call, and the longest call, together. */
const KEYS_MS = 4_200_000
const KEYS_BYTES = 1024 * 1024 * 1024

/** @throws {Error} when the store cannot be used now; `message` says what to do about a wrong number of replicas */
export async function openBuckets(nc: NatsConnection, replicas: number): Promise<Buckets> {
  const js = jetstream(nc, { timeout: ANSWER_MS })
  const kvm = new Kvm(js)
  // Reads by the leader only: a follower may not know the last write.
  const common = { history: 1, replicas, markerTTL: MARKER_MS, allow_direct: false }
  try {
    const registry = await kvm.create('crank-registry', { ...common, ttl: LEASE_MS })
    const idempotency = await kvm.create(IDEMPOTENCY_BUCKET, { ...common, ttl: KEYS_MS, max_bytes: KEYS_BYTES })
    const drains = await kvm.create('crank-drains', common)
    // Neither expires: only a word of an operator lifts a block.
    const blocks = await kvm.create(BLOCKS_BUCKET, common)
    const keys = await kvm.create('crank-keys', common)
    const all = [registry, idempotency, drains, blocks, keys]
    const made = createdOf(await statesOf(all))
    const ask = async (): Promise<LastRevision> => {
      const states = await statesOf(all)
      // A bucket that was made again has other revisions: every view of it must begin again.
      if (createdOf(states) !== made) throw new Error('a bucket was made again')
      return (bucket) => states.get(bucket)?.state.last_seq ?? 0
    }
    return { js, registry, drains, idempotency, blocks, keys, ask }
  } catch (cause: unknown) {
    throw withCureForReplicas(cause, replicas)
  }
}

async function statesOf(buckets: readonly KV[]): Promise<ReadonlyMap<KV, StreamInfo>> {
  const asked = buckets.map(async (bucket) => [bucket, (await bucket.status()).streamInfo] as const)
  return new Map(await Promise.all(asked))
}

function createdOf(states: ReadonlyMap<KV, StreamInfo>): string {
  return [...states.values()].map(({ created }) => created).join()
}

/** Whether a write was refused because the store has a newer word than the writer knew. */
export function isWrongSequence(cause: unknown): boolean {
  return cause instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(cause.code)
}
