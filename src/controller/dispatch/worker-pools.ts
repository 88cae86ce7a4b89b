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
const KEEP_ALIVE_MS = 30_000

export function createWorkerPools(deps: {
  connectorFor: (expected: SpiffeId) => buildConnector.connector
  source: Pick<CredentialSource, 'onChange'>
}): WorkerPools {
  const pools = new Map<Target, Pool>()
  const ending = new Set<Pool>()
  const open = ({ origin, spiffeId }: Target): Pool =>
    new Pool(origin, {
      connect: guardingHeads(deps.connectorFor(spiffeId)),
      connections: CONNECTIONS_PER_WORKER,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // The exchange has its own deadlines: undici checks its own only about once a second.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16 * 1024,
    })
  const forget = (target: Target): void => {
    const pool = pools.get(target)
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
  return {
    poolOf(target) {
      const known = pools.get(target)
      if (known !== undefined) return known
      const pool = open(target)
      pools.set(target, pool)
      return pool
    },
    release: forget,
    close: async () => {
      unsubscribe()
      await Promise.all([...pools.values(), ...ending].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}
