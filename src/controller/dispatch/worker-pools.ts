// On the path of every call. Keep-alive connections, one pool per worker instance: each connects only to the SPIFFE ID that
// registered (decision 0039).
import { Pool, type buildConnector } from 'undici'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import { guardingHeads } from './answer-head.ts'

/** The facts about a worker that a connection needs. */
export type Target = { readonly spiffeId: SpiffeId; readonly origin: string }

export type WorkerPools = {
  poolOf: (target: Target) => Pool
  /** Waits for running calls of the target to end, then closes its connections. */
  release: (target: Target) => void
  close: () => Promise<void>
}

const CONNECTIONS_PER_WORKER = 64
/** Connections without a call end, and so does a pool without one: with many workers, most are not called for long. */
const KEEP_ALIVE_MS = 30_000
const LOOK_MS = 5000

type Kept = { readonly pool: Pool; usedMs: number }

export function createWorkerPools(deps: {
  connectorFor: (expected: SpiffeId) => buildConnector.connector
  source: Pick<CredentialSource, 'onChange'>
  monotonic: () => number
  /** Called for the parts of bodies to and from workers. */
  onBytes: (bytes: number) => void
  keepAliveMs?: number
  lookMs?: number
}): WorkerPools {
  const { monotonic, keepAliveMs = KEEP_ALIVE_MS, lookMs = LOOK_MS } = deps
  const pools = new Map<Target, Kept>()
  const ending = new Set<Pool>()
  const open = ({ origin, spiffeId }: Target): Pool =>
    new Pool(origin, {
      connect: guardingHeads(deps.connectorFor(spiffeId), deps.onBytes),
      connections: CONNECTIONS_PER_WORKER,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: keepAliveMs,
      // The exchange has its own deadlines: undici checks its own only about once a second.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16 * 1024,
    })
  const forget = (target: Target): void => {
    const pool = pools.get(target)?.pool
    if (pool === undefined) return
    pools.delete(target)
    ending.add(pool)
    void pool
      .close()
      .catch(() => undefined)
      .finally(() => ending.delete(pool))
  }
  // Connections show the certificate of their handshake. The CA of the old one may be removed next: new calls use new ones.
  const unsubscribe = deps.source.onChange((next, previous) => {
    if (next.certPem !== previous.certPem) [...pools.keys()].forEach(forget)
  })
  const forgetIdle = (): void => {
    const beforeMs = monotonic() - keepAliveMs
    for (const [target, { pool, usedMs }] of pools) if (usedMs < beforeMs && pool.stats.size === 0) forget(target)
  }
  const timer = setInterval(forgetIdle, lookMs).unref()
  return {
    poolOf(target) {
      let kept = pools.get(target)
      if (kept === undefined) pools.set(target, (kept = { pool: open(target), usedMs: 0 }))
      kept.usedMs = monotonic()
      return kept.pool
    },
    release: forget,
    close: async () => {
      clearInterval(timer)
      unsubscribe()
      await Promise.all([...[...pools.values()].map(({ pool }) => pool), ...ending].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}
