// Step 3 of a call with an idempotency key: at most one call under the key reaches a worker, and the others get its answer.
import { AppError, toAppError } from '../../core/errors.ts'
import type { IdempotencyResult } from '../../core/idempotency.ts'
import { HEADERS } from '../../core/wire.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import { fingerprintOf, keyIdOf } from '../idempotency/fingerprint.ts'
import type { Holding } from '../idempotency/held-bytes.ts'
import type { Begun, Claim, KeyStore, StoredAnswer } from '../idempotency/key-store.ts'
import type { Forward } from './forward.ts'
import { keepAnswer, type KeptAnswer } from './kept-answer.ts'
import { spoolBody } from './spool-body.ts'

export type OnceDeps = {
  readonly store: Pick<KeyStore, 'begin' | 'end'>
  /** Opens a call's share of the memory for bodies and answers. */
  readonly hold: (caller: string) => Holding
  readonly forward: Forward
  readonly monotonic: () => number
}

/** The store of one machine answers sooner, unless it just starts. */
const NOTED_WAIT_MS = 1000

type Executed = RouteOutcome & { readonly idempotency: IdempotencyResult }

/** Never rejects, if `forward` does not. The call must have passed the policy: a stored answer is for those who may make the call now. */
export function createOnce(deps: OnceDeps): Forward {
  const { store, hold, monotonic } = deps
  return async (call, verdict) => {
    const start = monotonic()
    const holding = hold(call.caller)
    const ended = (outcome: RouteOutcome): RouteOutcome => {
      if (outcome.idempotency !== undefined) call.span.setAttribute('crank.idempotency', outcome.idempotency)
      return { ...outcome, durationMs: monotonic() - start }
    }
    try {
      const body = await spoolBody(call, holding).catch(asAppError)
      if (body instanceof AppError) return ended(notSpooled(body))
      const claim = claimOf(call, body)
      const askedMs = monotonic()
      const begun = await store.begin(claim).catch(asAppError)
      if (begun instanceof AppError) return ended(refused('unavailable', begun))
      if (begun.state !== 'begun') return ended(repeated(call, begun))
      // A long wait for the store is part of the call's own time.
      const waitedMs = monotonic() - askedMs
      const timeoutMs = waitedMs < NOTED_WAIT_MS ? call.timeoutMs : Math.max(1, Math.round(call.timeoutMs - waitedMs))
      const next = { ...call, body, contentLength: undefined, timeoutMs }
      return ended(await execute(deps, { call: next, verdict, claim, holding }))
    } finally {
      holding.release()
    }
  }
}

function asAppError(cause: unknown): AppError {
  return toAppError(cause, 'idempotency_unavailable')
}

function claimOf(call: RouteCall, body: Buffer): Claim {
  const { caller, capability, idempotencyKey: key = '', form, contentType, decisionId } = call
  return {
    id: keyIdOf({ caller, capability, key }),
    fingerprint: fingerprintOf({ form, contentType, members: required(call), body }),
    caller,
    decisionId,
    waitMs: call.timeoutMs,
  }
}

/** What the call requires of its worker decides about the work; what it prefers does not. */
function required({ wish }: RouteCall): string[] {
  const labels = (wish?.require ?? []).map(([name, value]) => `${name}=${value}`)
  return [wish?.version?.text ?? '', ...labels.sort()]
}

type Execution = {
  readonly call: RouteCall
  readonly verdict: Verdict
  readonly claim: Claim
  readonly holding: Holding
}

/** Calls a worker and stores its answer; only then the caller gets it. */
async function execute({ store, forward }: OnceDeps, { call, verdict, claim, holding }: Execution): Promise<Executed> {
  const kept = keepAnswer(call.sink, holding, () => void store.end(claim, { to: 'unknown' }))
  const outcome = await forward({ ...call, sink: kept.sink }, verdict).catch((cause: unknown) => {
    // It promises never to reject; if it does, the key must not stay held.
    void store.end(claim, { to: 'unknown' })
    throw cause
  })
  if (kept.state() === 'passed') return { ...outcome, idempotency: 'unstored' }
  if (outcome.effect === 'none') {
    void store.end(claim, { to: 'free' })
    return { ...outcome, idempotency: 'freed' }
  }
  const answer = outcome.effect === 'answered' ? answerOf(outcome, kept) : undefined
  const isStored = await store.end(claim, answer === undefined ? { to: 'unknown' } : { to: 'done', answer })
  const executed: Executed = { ...outcome, idempotency: isStored && answer !== undefined ? 'stored' : 'unstored' }
  if (call.sink.hasLeft()) return { ...executed, ...callerGone(call) }
  if (answer?.kind === 'answer') send(call, answer, [])
  if (kept.state() === 'broken') {
    const error = new AppError('worker_failed', "the worker's answer broke off, and what it did is not known")
    return { ...executed, status: error.kind.status, error }
  }
  return executed
}

function answerOf(outcome: RouteOutcome, kept: KeptAnswer): StoredAnswer | undefined {
  if (kept.state() === 'whole') return { kind: 'answer', ...kept.answer() }
  const { error, workerId } = outcome
  if (error === undefined) return undefined
  return { kind: 'failure', workerId, reason: error.message, reasonCode: error.reasonCode }
}

function callerGone({ sink }: RouteCall): Pick<RouteOutcome, 'outcome' | 'error'> {
  const outcome = sink.goneBy()
  if (outcome === 'shutdown') return { outcome, error: new AppError('shutting_down') }
  return { outcome, error: new AppError('worker_failed', 'the caller left') }
}

/** What a later request under a key gets. */
function repeated(call: RouteCall, begun: Exclude<Begun, { state: 'begun' }>): RouteOutcome {
  switch (begun.state) {
    case 'in_flight':
      return refused('in_progress', new AppError('idempotency_in_progress'))
    case 'unknown':
      return refused('unknown', new AppError('idempotency_outcome_unknown'))
    case 'reused':
      return refused('reused', new AppError('idempotency_key_reused'))
    case 'done':
      return replayed(call, begun)
    default:
      return begun satisfies never
  }
}

function replayed(call: RouteCall, { answer, decisionId }: Begun & { state: 'done' }): RouteOutcome {
  const replay = { idempotency: 'replayed', originalDecisionId: decisionId } as const
  if (call.sink.hasLeft()) return { ...NO_WORKER, status: 502, ...callerGone(call), ...replay }
  const marks = { [HEADERS.idempotentReplayed]: 'true', [HEADERS.originalDecisionId]: decisionId }
  if (answer.kind === 'answer') {
    send(call, answer, Object.entries(marks).flat())
    return { ...NO_WORKER, outcome: 'completed', status: answer.status, error: undefined, ...replay }
  }
  const { reason, reasonCode } = answer
  const error = new AppError('worker_failed', reason, {
    ...(reasonCode !== undefined && { reasonCode }),
    headers: marks,
  })
  return { ...NO_WORKER, outcome: 'completed', status: error.kind.status, error, ...replay }
}

function send(
  { sink }: RouteCall,
  { status, headers, body }: StoredAnswer & { kind: 'answer' },
  marks: string[],
): void {
  const sent = withoutLength(headers)
  // Not allowed with 204 (RFC 9110, 8.6).
  if (status !== 204) sent.push('content-length', String(body.length))
  sink.start(status, [...sent, ...marks])
  if (body.length > 0) sink.write(Buffer.from(body.buffer, body.byteOffset, body.length))
  sink.end()
}

function withoutLength(headers: readonly string[]): string[] {
  return headers.filter((_, index) => headers[index - (index % 2)] !== 'content-length')
}

const NO_WORKER = { workerId: null, attempts: 0, durationMs: 0, effect: 'none' } as const

function refused(idempotency: IdempotencyResult, error: AppError): RouteOutcome {
  return { ...NO_WORKER, outcome: 'refused', status: error.kind.status, error, idempotency }
}

function notSpooled(error: AppError): RouteOutcome {
  if (error.code === 'payload_too_large') return refused('too_large', error)
  if (error.code === 'overloaded') return refused('unavailable', error)
  // The body stopped, or is incomplete.
  return { ...NO_WORKER, outcome: 'caller_left', status: error.kind.status, error, idempotency: 'freed' }
}
