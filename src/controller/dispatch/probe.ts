// The probe of a worker: one connection and one GET /health, within one time limit. A worker that registers could make it probe
// any host, so only few of those run at once, one per identity, and the answer does not say what was found: only the log does.
import { Client, type buildConnector } from 'undici'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { connectFailureKind, type ConnectFailureKind } from '../../platform/tls/connect-failure.ts'
import type { Logger } from '../../platform/logger.ts'
import { createTurns } from '../../platform/turns.ts'
import { guardingHeads } from './answer-head.ts'
import type { Target } from './worker-pools.ts'

/**
 * `http_status`: an answer other than 200. `other_worker`: another worker of the same identity answers there. `no_answer`:
 * connected, but no complete answer in time.
 */
type ProbeFailureKind = ConnectFailureKind | HealthFault | 'no_answer'
type HealthFault = 'http_status' | 'other_worker'
type ProbeQuestion = Target & { readonly workerId: string; readonly decisionId: string }

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

/** For a worker that registers. */
export function createProbe(deps: ProbeDeps): Probe {
  const turns = createTurns(TURNS)
  return (question) => turns.run(question.spiffeId, () => probe(question, deps))
}

/**
 * For a worker that was registered before: whoever calls this limits how many run at once. Refuses another instance of the same
 * identity that has the port now, if its health names it.
 */
export function createRecallProbe(deps: ProbeDeps): Probe {
  return (question) => probe(question, deps, question.workerId)
}

/** For a worker that is registered and had a fault: whether it is there. Never rejects. */
export type HealthProbe = (target: Target & { readonly workerId: string }) => Promise<boolean>

/** Many may have had a fault at the same moment. What gets no turn counts as no answer: it is probed again anyway. */
const HEALTH_TURNS = { inAll: 16, waiting: { inAll: 10_000, perKey: 1 }, waitMs: 5000 }

export function createHealthProbe({ connectorFor }: Pick<ProbeDeps, 'connectorFor'>): HealthProbe {
  const turns = createTurns(HEALTH_TURNS)
  return ({ spiffeId, origin, workerId }) => {
    const ask = async (): Promise<boolean> => {
      const named = workerNamedIn(await checkHealth(guardingHeads(connectorFor(spiffeId, PROBE_MS)), origin))
      return named === undefined || named === workerId
    }
    return turns.run(`${spiffeId} ${workerId}`, ask).catch(() => false)
  }
}

async function probe(
  { spiffeId, origin, decisionId }: ProbeQuestion,
  { connectorFor, log }: ProbeDeps,
  expected?: string,
): Promise<void> {
  try {
    const health = await checkHealth(guardingHeads(connectorFor(spiffeId, PROBE_MS)), origin)
    const named = expected === undefined ? expected : workerNamedIn(health)
    if (named !== expected && named !== undefined) throw new HealthError('other_worker', 'another worker answers there')
  } catch (cause: unknown) {
    if (cause instanceof AppError && cause.code === 'overloaded') throw cause
    const { kind, reason } = describe(cause)
    const fields = { event: 'worker_probe_failed', kind, requester: spiffeId, worker_url: origin, reason }
    log.warn({ ...fields, decision_id: decisionId }, 'the probe of a worker failed')
    throw new AppError('worker_failed', REFUSED, { cause })
  }
}

type ConnectResult = Parameters<buildConnector.Callback>

class HealthError extends Error {
  override readonly name = 'HealthError'
  readonly kind: HealthFault
  constructor(kind: HealthFault, message: string) {
    super(message)
    this.kind = kind
  }
}

/** Resolves with the body of the answer. */
async function checkHealth(connector: buildConnector.connector, origin: string): Promise<string> {
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
    if (statusCode !== 200) throw new HealthError('http_status', `GET /health answered ${statusCode}`)
    return await readStart(body)
  } finally {
    await client.destroy()
  }
}

/** At most 64 KiB of a body: a worker may send any, and only its name matters. */
async function readStart(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= BODY_BYTES) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

function workerNamedIn(health: string): string | undefined {
  try {
    const { worker_id: named } = (JSON.parse(health) ?? {}) as { worker_id?: unknown }
    return typeof named === 'string' ? named : undefined
  } catch {
    return undefined
  }
}

function describe(cause: unknown): { kind: ProbeFailureKind; reason: string } {
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof HealthError) return { kind: cause.kind, reason }
  return { kind: connectFailureKind(cause) ?? 'no_answer', reason }
}
