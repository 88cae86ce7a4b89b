// The probe of a registration: one connection and one GET /health, within one time limit. A worker could make it probe any
// host, so only few probes run at once, one per identity, and the answer does not say what was found: only the log does.
import { Client, type buildConnector } from 'undici'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { connectFailureKind, type ConnectFailureKind } from '../../platform/tls/connect-failure.ts'
import type { Logger } from '../../platform/logger.ts'
import { createTurns } from '../../platform/turns.ts'
import { guardingHeads } from './answer-head.ts'
import type { Target } from './worker-pools.ts'

/** `http_status`: an answer other than 200. `no_answer`: connected, but no complete answer in time. */
type ProbeFailureKind = ConnectFailureKind | 'http_status' | 'no_answer'
type ProbeQuestion = Target & { readonly decisionId: string }

/**
 * Checks once that the target has its SPIFFE ID and is healthy.
 * @throws {AppError} `worker_failed`, always with the same text; `overloaded` when too many registrations wait for a probe
 */
export type Probe = (question: ProbeQuestion) => Promise<void>

type ProbeDeps = {
  readonly connectorFor: (expected: SpiffeId, timeoutMs: number) => buildConnector.connector
  readonly log: Pick<Logger, 'warn'>
}

/** For lookup, TCP, TLS and the answer together. */
const PROBE_MS = 2000
const BODY_BYTES = 64 * 1024
// A worker waits 15 s for the answer to its registration.
const TURNS = { inAll: 8, waiting: { inAll: 64, perKey: 8 }, waitMs: 5000 }
const REFUSED =
  "the probe of worker_url failed: within 2 s it must present your SPIFFE ID and answer GET /health with 200; see the controller's log for the cause"

export function createProbe({ connectorFor, log }: ProbeDeps): Probe {
  const turns = createTurns(TURNS)
  return ({ spiffeId, origin, decisionId }) =>
    turns.run(spiffeId, async () => {
      try {
        await checkHealth(guardingHeads(connectorFor(spiffeId, PROBE_MS)), origin)
      } catch (cause: unknown) {
        if (cause instanceof AppError && cause.code === 'overloaded') throw cause
        const { kind, reason } = describe(cause)
        const fields = { event: 'worker_probe_failed', kind, requester: spiffeId, worker_url: origin, reason }
        log.warn({ ...fields, decision_id: decisionId }, 'the probe of a worker failed')
        throw new AppError('worker_failed', REFUSED, { cause })
      }
    })
}

type ConnectResult = Parameters<buildConnector.Callback>

class HealthError extends Error {
  override readonly name = 'HealthError'
}

async function checkHealth(connector: buildConnector.connector, origin: string): Promise<void> {
  const connected = Promise.withResolvers<undefined>()
  const client = new Client(origin, {
    connect: (target, callback) =>
      connector(target, (...[error, socket]: ConnectResult) => {
        if (error === null) {
          connected.resolve(undefined)
          callback(null, socket)
        } else {
          connected.reject(error)
          callback(error, null)
        }
      }),
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: 16 * 1024,
  })
  const signal = AbortSignal.timeout(PROBE_MS)
  const answer = client.request({ method: 'GET', path: '/health', signal })
  answer.catch(() => undefined) // handled below, when the connection is established
  try {
    // The connector has the same time limit, and its error is more precise.
    await connected.promise
    const { statusCode, body } = await answer
    await body.dump({ limit: BODY_BYTES, signal })
    if (statusCode !== 200) throw new HealthError(`GET /health answered ${statusCode}`)
  } finally {
    await client.destroy()
  }
}

function describe(cause: unknown): { kind: ProbeFailureKind; reason: string } {
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof HealthError) return { kind: 'http_status', reason }
  return { kind: connectFailureKind(cause) ?? 'no_answer', reason }
}
