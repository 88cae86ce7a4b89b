// The view of one bucket: everything that it has, then each change, until the end of the session.
import type { KV } from '@nats-io/kv'
import { within } from '../../platform/within.ts'
import type { LastRevision } from '../store/buckets.ts'
import type { StoreSession, StoreView } from '../store/store-link.ts'

type ViewOptions = {
  readonly session: Pick<StoreSession, 'signal'>
  readonly bucket: KV
  /** `value` undefined: the bucket has lost the key. */
  readonly onEntry: (key: string, value: Uint8Array | undefined, revision: number) => void
}

/** `isWhole`: everything that the bucket had was seen within ten seconds. `present`: the keys that were seen to have a value. */
type BucketView = StoreView & { readonly isWhole: boolean; readonly present: ReadonlySet<string> }

const SNAPSHOT_MS = 10_000

/** Rejects when the bucket cannot be watched. */
export async function viewBucket({ session: { signal }, bucket, onEntry }: ViewOptions): Promise<BucketView> {
  const { values, streamInfo } = await bucket.status()
  const watch = await bucket.watch()
  if (signal.aborted) watch.stop()
  signal.throwIfAborted()
  signal.addEventListener('abort', () => watch.stop())
  const present = new Set<string>()
  const whole = Promise.withResolvers<true>()
  let seen = streamInfo.state.last_seq
  const follow = async (): Promise<string> => {
    for await (const { key, operation, value, revision, isUpdate } of watch) {
      if (operation === 'PUT') present.add(key)
      seen = Math.max(seen, revision)
      onEntry(key, operation === 'PUT' ? value : undefined, revision)
      if (isUpdate) whole.resolve(true)
    }
    return 'its view has ended'
  }
  const ended = follow()
  const isOver = Promise.race([whole.promise, ended])
  const isWhole = values === 0 || (await within(SNAPSHOT_MS, isOver)) === true
  signal.throwIfAborted()
  return { isWhole, present, ended, isStuck: watchForStandstill(bucket, () => seen) }
}

/**
 * The server that sends the changes may be another than the one that is connected; nobody tells of its end for ten seconds and
 * more. True: the bucket had more than was seen here twice, and nothing came between.
 */
function watchForStandstill(bucket: KV, seen: () => number): StoreView['isStuck'] {
  let before = Infinity
  let times = 0
  return (lastRevision: LastRevision) => {
    const isBehind = seen() === before && seen() < lastRevision(bucket)
    times = isBehind ? times + 1 : 0
    before = seen()
    return times >= 2
  }
}
