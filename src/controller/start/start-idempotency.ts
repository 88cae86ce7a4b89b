// Starts the store of idempotency keys with its metrics. No thread runs and no file is made before the first key.
import { join } from 'node:path'
import { createHeldBytes } from '../idempotency/held-bytes.ts'
import { createSqliteStore } from '../idempotency/sqlite-store.ts'
import { createIdempotencyMetrics } from '../metrics/idempotency-metrics.ts'
import type { OnceDeps } from '../steps/once.ts'
import type { RecorderDeps } from '../steps/record.ts'
import type { Ground } from './ground.ts'

export type StartedIdempotency = Pick<OnceDeps, 'store' | 'hold'> & Required<Pick<RecorderDeps, 'onKeyUsed'>>

const MIB = 1024 * 1024
/** 16 calls of one identity with the largest bodies and answers; 128 in all. */
const HELD_BYTES = { perCaller: 32 * MIB, total: 256 * MIB }

export function startIdempotency({ config, now, monotonic, log, metricsRegistry, opened }: Ground): StartedIdempotency {
  const metrics = createIdempotencyMetrics(metricsRegistry)
  const store = opened.adopt(
    createSqliteStore({
      file: join(config.stateDir, 'idempotency.sqlite'),
      now,
      monotonic,
      log,
      onWritten: metrics.written,
    }),
    ({ close }) => close(),
  )
  metrics.observe(store.health)
  return { store, hold: createHeldBytes(HELD_BYTES), onKeyUsed: metrics.used }
}
