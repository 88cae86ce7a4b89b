// The bucket of the blocks in NATS, as an operator uses it. Everything it asks for is in the permissions that the documents give
// to operators (docs/operations/policy-live-change.md); none of it needs a consumer.
import { jetstream } from '@nats-io/jetstream'
import { Kvm, type KV } from '@nats-io/kv'
import { connectNats } from '../../platform/nats/connect-nats.ts'
import { BLOCKS_BUCKET, OPERATOR_INBOX } from '../../platform/nats/shared-buckets.ts'
import type { NatsTarget } from '../../platform/nats/nats-settings.ts'
import type { Credentials } from '../../platform/tls/credentials.ts'
import { blockKey, decodeBlock, encodeBlock, type BlockEntry, type BlockTarget } from '../../policy/data/block-entry.ts'
import { fixedSource } from '../controller-client.ts'
import { CliError, EXIT, messageOf } from '../exit.ts'

type MeshBucket = {
  /** The last word about a name. */
  readonly find: (target: BlockTarget) => Promise<BlockEntry | undefined>
  readonly put: (entry: BlockEntry) => Promise<void>
  readonly all: () => Promise<BlockEntry[]>
}

const ANSWER_MS = 5000

/**
 * Connects, runs `use`, and closes.
 * @throws {CliError} `unreachable` when NATS is away, `negative` when it refuses this identity
 */
export async function withMeshBucket<T>(
  target: NatsTarget,
  credentials: Credentials,
  use: (bucket: MeshBucket) => Promise<T>,
): Promise<T> {
  const { spiffeId: name } = credentials
  const options = { target, source: fixedSource(credentials), name, inboxPrefix: OPERATOR_INBOX, isOnce: true }
  const where = target.servers.join(', ')
  const nc = await connectNats(options).catch((cause: unknown) => {
    throw asFailure(cause, name, where)
  })
  try {
    const kv = await new Kvm(jetstream(nc, { timeout: ANSWER_MS })).open(BLOCKS_BUCKET, { allow_direct: false })
    return await use(bucketOf(kv, async () => subjectsOf(nc)))
  } catch (cause: unknown) {
    throw cause instanceof CliError ? cause : asFailure(cause, name, where)
  } finally {
    await nc.close()
  }
}

function bucketOf(kv: KV, keys: () => Promise<readonly string[]>): MeshBucket {
  const read = async (key: string): Promise<BlockEntry | undefined> => {
    const found = await kv.get(key)
    return found?.operation === 'PUT' ? decodeBlock(key, found.string()) : undefined
  }
  return {
    find: (target) => read(blockKey(target)),
    async put(entry) {
      await kv.put(blockKey(entry), encodeBlock(entry))
    },
    async all() {
      const entries: BlockEntry[] = []
      for (const key of await keys()) {
        const entry = await read(key)
        if (entry !== undefined) entries.push(entry)
      }
      return entries
    },
  }
}

/** The keys of the bucket. */
async function subjectsOf(nc: Parameters<typeof jetstream>[0]): Promise<string[]> {
  const prefix = `$KV.${BLOCKS_BUCKET}.`
  const jsm = await jetstream(nc, { timeout: ANSWER_MS }).jetstreamManager(false)
  const { state } = await jsm.streams.info(`KV_${BLOCKS_BUCKET}`, { subjects_filter: `${prefix}>` })
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length))
}

/** What has happened, and what to do. */
function asFailure(cause: unknown, name: string, where: string): CliError {
  const text = messageOf(cause)
  if (/permissions? violation|authorization violation|authentication/i.test(text)) {
    return new CliError(EXIT.negative, `NATS at ${where} does not let ${name} change the blocks of the mesh`, {
      cause,
      hint: `use the certificate of an operator, or give this identity the permissions for ${BLOCKS_BUCKET} in the configuration of NATS`,
    })
  }
  if (/stream not found|no responders/i.test(text)) {
    return new CliError(EXIT.unreachable, `NATS at ${where} has no bucket ${BLOCKS_BUCKET}`, {
      cause,
      hint: 'the first controller with CRANK_NATS_URL makes it: start one; if one runs, JetStream has no leader now: try again',
    })
  }
  return new CliError(EXIT.unreachable, `cannot reach NATS at ${where}: ${text}`, { cause })
}
