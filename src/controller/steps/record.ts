// On the path of every call. Steps 2 and 4: writes verdicts and outcomes
// to the audit log, the application log and the metrics, in one place.
import type { Capability } from '../../core/capability.ts'
import type { AppError } from '../../core/errors.ts'
import type { IdempotencyResult } from '../../core/idempotency.ts'
import { passes, RULINGS } from '../../core/ruling.ts'
import { traceFields } from '../../core/trace-context.ts'
import type { Logger } from '../../platform/logger.ts'
import * as audit from '../../audit/event.ts'
import type { AuditEvent } from '../../audit/event.ts'
import type { Note } from '../audit/group-commit.ts'
import type { Asker, RegistrationVerdict, Verdict } from '../../policy/verdict.ts'
import type { RouteCall, RouteOutcome } from '../call.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { CallEnd } from '../slo/call-grade.ts'
import { createVerdictLine, reasonOf } from './verdict-line.ts'

export type RecorderDeps = {
  readonly append: (event: AuditEvent) => Promise<void>
  readonly note: Note
  readonly log: Logger
  readonly metrics: Metrics
  readonly now: () => number
  /** Called with the name of the exception that let a call pass. */
  readonly onExceptionUsed?: (name: string) => void
  /** Called with the end of every call that the ruling let pass. */
  readonly onEnded?: (capability: Capability, end: CallEnd) => void
  /** Called with the effect of the idempotency key of a call that has one. */
  readonly onKeyUsed?: (result: IdempotencyResult) => void
}

/**
 * Records calls and registrations.
 * @example
 * await recorder.recordVerdict(call, verdict) // durable from here on: now the call may be forwarded
 * recorder.recordOutcome(call, await forward(call))
 */
export type Recorder = {
  /** @throws {AppError} `audit_unavailable`: the call must then not continue. */
  readonly recordVerdict: (call: RouteCall, verdict: Verdict) => Promise<void>
  readonly recordOutcome: (call: RouteCall, outcome: RouteOutcome) => void
  /** @throws {AppError} `audit_unavailable` */
  readonly recordRegistration: (asker: Asker, verdict: RegistrationVerdict) => Promise<void>
}

/** An allowed call that the controller could not record, and therefore did not forward. */
const UNRECORDED: CallEnd = {
  outcome: 'refused',
  status: 503,
  error: { code: 'audit_unavailable' },
}
const ROUTES = { json: '/route', raw: '/route/{verb}/{capability}' } as const

export function createRecorder(deps: RecorderDeps): Recorder {
  const { append, note, log, metrics, now, onExceptionUsed, onKeyUsed, onEnded } = deps
  const tellVerdict = createVerdictLine(log)
  return {
    async recordVerdict(call, verdict) {
      const event = audit.policyDecision(
        {
          ...evaluationOf(call, verdict),
          onBehalfOf: call.chain.onBehalfOf,
          input: verdict.input,
          route: ROUTES[call.form],
          idempotencyKeyPresent: call.idempotencyKey !== undefined,
          requestedPriority: call.requestedPriority,
          retryOf: call.retryOf,
        },
        auditedVerdict(verdict),
      )
      try {
        await append(event)
      } catch (cause: unknown) {
        if (passes(verdict.ruling)) onEnded?.(call.capability, UNRECORDED)
        throw cause
      }
      metrics.decided({
        capability: call.capability,
        decision: event.decision,
        // A repeated decision was not evaluated.
        seconds: verdict.decision?.repeats === undefined ? verdict.evaluationMs / 1000 : undefined,
        trace: call.trace,
      })
      const exception = verdict.ruling === 'allow' ? verdict.decision.exception : null
      if (exception !== null) onExceptionUsed?.(exception)
      tellVerdict(call, verdict)
    },
    recordOutcome(call, outcome) {
      metrics.routed({
        capability: call.capability,
        outcome: outcome.outcome,
        seconds: outcome.durationMs / 1000,
        trace: call.trace,
        attempts: outcome.attempts,
      })
      onEnded?.(call.capability, outcome)
      if (outcome.idempotency !== undefined) onKeyUsed?.(outcome.idempotency)
      const onLost = (err: AppError): void =>
        log.error({ event: 'audit_outcome_lost', ...idsOf(call), err }, 'outcome not recorded')
      // Whether a call with a key was executed must be known after a crash; other outcomes may share the next write.
      note(outcomeEvent(call, outcome, now()), onLost, { rides: call.idempotencyKey === undefined })
    },
    async recordRegistration(asker, verdict) {
      const event = audit.workerRegistration(
        { ...evaluationOf(asker, verdict), onBehalfOf: null, input: verdict.input },
        auditedVerdict(verdict),
      )
      await append(event)
      metrics.registrationDecided(event.decision)
      logRegistration(log, asker, event, reasonOf(verdict))
    },
  }
}

function outcomeEvent(call: RouteCall, outcome: RouteOutcome, atMs: number): audit.RouteOutcomeEvent {
  const { decisionId, trace, caller: requester, capability } = call
  const status = isUnanswered(outcome) ? null : outcome.status
  const error = outcome.error?.code ?? null
  return audit.routeOutcome({ decisionId, trace, requester, capability }, { ...outcome, atMs, status, error })
}

/** The ids that link a log line to its trace, its audit record and its answer. */
function idsOf({ trace, decisionId }: Asker): { trace_id: string; span_id: string; decision_id: string } {
  return { ...traceFields(trace), decision_id: decisionId }
}

/** The caller left, or was cut off before its answer began. */
function isUnanswered({ outcome, error }: RouteOutcome): boolean {
  return outcome === 'caller_left' || (outcome === 'shutdown' && error !== undefined)
}

function evaluationOf({ trace }: Asker, verdict: Verdict): Omit<audit.Evaluation, 'onBehalfOf'> {
  const { engine, revision, evaluationMs } = verdict
  return { trace, engine, policyRevision: revision, evaluationTimeMs: evaluationMs }
}

function auditedVerdict(verdict: Verdict): audit.Judgement {
  if (verdict.decision !== undefined) return { ...verdict.decision, decision: verdict.ruling }
  return { decision: verdict.ruling, mode: RULINGS[verdict.ruling].mode, error: verdict.error.code }
}

function logRegistration(
  log: Logger,
  asker: Asker,
  { decision, worker_id }: audit.WorkerRegistrationEvent,
  reason: string,
): void {
  const fields = { requester: asker.caller, worker_id, reason, ...idsOf(asker) }
  if (decision === 'allow') log.info({ event: 'worker_registration_allowed', ...fields }, 'registration allowed')
  else log.warn({ event: 'worker_registration_denied', ...fields }, 'registration denied')
}
