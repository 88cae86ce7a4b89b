// Starts the store of idempotency keys with its metrics. No thread runs and no file is made before the first key.
import { join } from 'node:path'
import type { KeyStore } from '../idempotency/key-store.ts'
import { createHeldBytes } from '../idempotency/held-bytes.ts'
import { createSharedStore } from '../idempotency/shared-store.ts'
import { createSqliteStore } from '../idempotency/sqlite-store.ts'
import type { StoreLink } from '../store/store-link.ts'
import { createIdempotencyMetrics } from '../metrics/idempotency-metrics.ts'
import type { OnceDeps } from '../steps/once.ts'
import type { RecorderDeps } from '../steps/record.ts'
import { MAX_KEPT_BYTES } from '../steps/spool-body.ts'
import type { Ground } from './ground.ts'
import { partOf } from './part-of.ts'

export type StartedIdempotency = Pick<OnceDeps, 'store' | 'hold'> & Required<Pick<RecorderDeps, 'onKeyUsed'>>

const MIB = 1024 * 1024
/** 16 calls of one identity with the largest bodies and answers; 128 in all. */
const HELD_BYTES = { perCaller: 32 * MIB, total: 256 * MIB }

export function startIdempotency(ground: Ground): StartedIdempotency {
  const metrics = createIdempotencyMetrics(ground.metricsRegistry)
  const { siblings } = ground
  const store = siblings?.keyStore ?? openKeyStore(ground, ground.store, metrics)
  metrics.observe(store.health)
  const { perCaller, total } = HELD_BYTES
  // Less would refuse a large call forever.
  const part = (bytes: number): number => Math.max(2 * MAX_KEPT_BYTES, partOf(bytes, siblings))
  return {
    store,
    hold: createHeldBytes({ perCaller: part(perCaller), total: part(total) }),
    onKeyUsed: metrics.used,
  }
}

/** What the one process that keeps the store opens: this one, or the parent of several. */
export function openKeyStore(
  { config, now, monotonic, log, opened }: Pick<Ground, 'config' | 'now' | 'monotonic' | 'log' | 'opened'>,
  link: StoreLink | undefined,
  { written }: Pick<ReturnType<typeof createIdempotencyMetrics>, 'written'>,
): KeyStore {
  if (link !== undefined) {
    const shared = createSharedStore({ session: link.session, now, monotonic, onWritten: written })
    return opened.adopt(shared, (it) => it.close())
  }
  const file = join(config.stateDir, 'idempotency.sqlite')
  return opened.adopt(createSqliteStore({ file, now, monotonic, log, onWritten: written }), ({ close }) => close())
}
