// Keep-alive connections, one pool per worker instance: each is opened only to the SPIFFE ID that registered (design D11).
import { Pool, type buildConnector } from 'undici'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { guardingHeads } from './answer-head.ts'

/** A worker as far as a connection needs to know it. */
export type Target = { readonly spiffeId: SpiffeId; readonly origin: string }

export type WorkerPools = {
  poolOf: (target: Target) => Pool
  /** Proves once that the target shows its SPIFFE ID and is healthy. @throws {AppError} `worker_failed` with the cause. */
  probe: (target: Target) => Promise<void>
  /** Lets running calls of the target end, then closes its connections. */
  release: (target: Target) => void
  close: () => Promise<void>
}

const CONNECTIONS_PER_WORKER = 64
const KEEP_ALIVE_MS = 30_000
const PROBE_MS = 2000

export function createWorkerPools(deps: {
  connectorFor: (expected: SpiffeId) => buildConnector.connector
}): WorkerPools {
  const pools = new Map<Target, Pool>()
  const open = ({ origin, spiffeId }: Target, connections: number): Pool =>
    new Pool(origin, {
      connect: guardingHeads(deps.connectorFor(spiffeId)),
      connections,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Deadlines are the exchange's own: undici's are checked about once a second.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16 * 1024,
    })
  const forget = (target: Target): Promise<void> => {
    const pool = pools.get(target)
    pools.delete(target)
    return pool?.close().catch(() => undefined) ?? Promise.resolve()
  }
  return {
    poolOf(target) {
      const known = pools.get(target)
      if (known !== undefined) return known
      const pool = open(target, CONNECTIONS_PER_WORKER)
      pools.set(target, pool)
      return pool
    },
    async probe(target) {
      const pool = open(target, 1)
      try {
        await checkHealth(pool)
      } finally {
        await pool.destroy()
      }
    },
    release: (target) => void forget(target),
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}

async function checkHealth(pool: Pool): Promise<void> {
  const answer = await pool
    .request({ method: 'GET', path: '/health', signal: AbortSignal.timeout(PROBE_MS) })
    .catch((cause: unknown) => {
      const why = cause instanceof AppError ? cause.message : 'no connection, or no answer within 2 s'
      throw new AppError('worker_failed', `the probe of worker_url failed: ${why}`, { cause })
    })
  await answer.body.dump()
  if (answer.statusCode !== 200) {
    throw new AppError('worker_failed', `the probe of worker_url failed: GET /health answered ${answer.statusCode}`)
  }
}
