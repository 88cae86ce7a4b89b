// The view of one bucket: everything that it has, then each change, until the end of the session.
import type { KV } from '@nats-io/kv'
import { within } from '../../platform/within.ts'
import type { StoreSession } from '../store/store-link.ts'

type ViewOptions = {
  readonly session: Pick<StoreSession, 'signal'>
  readonly bucket: KV
  /** `value` undefined: the bucket has lost the key. */
  readonly onEntry: (key: string, value: Uint8Array | undefined, revision: number) => void
}

/** `isWhole`: everything that the bucket had was seen within ten seconds. `present`: the keys that were seen to have a value. */
type BucketView = {
  readonly isWhole: boolean
  readonly present: ReadonlySet<string>
  /** Resolves with the reason when no more changes come. */
  readonly ended: Promise<string>
}

const SNAPSHOT_MS = 10_000

/** Rejects when the bucket cannot be watched. */
export async function viewBucket({ session: { signal }, bucket, onEntry }: ViewOptions): Promise<BucketView> {
  const { values } = await bucket.status()
  const watch = await bucket.watch()
  if (signal.aborted) watch.stop()
  signal.throwIfAborted()
  signal.addEventListener('abort', () => watch.stop())
  const present = new Set<string>()
  const whole = Promise.withResolvers<true>()
  const follow = async (): Promise<string> => {
    for await (const { key, operation, value, revision, isUpdate } of watch) {
      if (operation === 'PUT') present.add(key)
      onEntry(key, operation === 'PUT' ? value : undefined, revision)
      if (isUpdate) whole.resolve(true)
    }
    return 'its view has ended'
  }
  const ended = follow()
  const isWhole = values === 0 || (await within(SNAPSHOT_MS, whole.promise)) === true
  return { isWhole, present, ended }
}
