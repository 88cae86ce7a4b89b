// A connection pool that can be replaced: running requests end on their old connections, later ones get new connections.
import type { Pool } from 'undici'

export type RenewablePool = {
  /** Opened with the first use. */
  readonly current: () => Pool
  /** Whether there is an established connection. */
  readonly isConnected: () => boolean
  readonly renew: () => void
  /** Waits for running requests, then closes. */
  readonly retire: () => Promise<void>
  /** Aborts running requests. */
  readonly close: () => Promise<void>
}

export function createRenewablePool(open: () => Pool): RenewablePool {
  let pool: Pool | undefined
  const ending = new Map<Pool, Promise<void>>()
  const renew = (): void => {
    if (pool === undefined) return
    const old = pool
    pool = undefined
    const ended = old
      .close()
      .catch(() => undefined)
      .finally(() => ending.delete(old))
    ending.set(old, ended)
  }
  return {
    current: () => (pool ??= open()),
    isConnected: () => (pool?.stats.connected ?? 0) > 0,
    renew,
    async retire() {
      renew()
      await Promise.all(ending.values())
    },
    async close() {
      // Also if there is none: a later request must fail, not open one.
      pool ??= open()
      await Promise.all([pool, ...ending.keys()].map((one) => one.destroy()))
    },
  }
}
