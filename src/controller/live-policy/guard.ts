// On the path of every call. The guard between an engine and the pipeline: it returns only
// a Decision or an AppError, and trusts no answer while the engine fails its self-check.
//
// Every answer is parsed strictly, so a single timeout does not close the guard: it triggers a self-check at once, and only
// a failed self-check closes it. From then on callers are refused without waiting (no 100 ms each on a hanging sidecar)
// until a self-check passes: an engine that comes back empty, or with a policy that allows everyone, is not used. A sidecar is
// also checked every few seconds, to notice one that was replaced while no calls came; the embedded engine changes only by a
// swap, which asks for a check.
import type { Decide } from '../../core/decision.ts'
import { AppError, toAppError } from '../../core/errors.ts'
import { traceFields } from '../../core/trace-context.ts'
import type { InForce } from '../../policy/engine/engine-kind.ts'
import { createRecheck } from './recheck.ts'
import type { SelfCheckFault } from '../../policy/engine/self-check.ts'

/** The part of a pino logger that is used here. */
export type PolicyLog = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

/** `reason` when ready: a problem that does not prevent decisions. */
export type PolicyReadiness =
  { readonly ok: true; readonly reason?: string } | { readonly ok: false; readonly reason: string }

export type Guard = {
  readonly decide: Decide
  readonly ready: () => PolicyReadiness
  /** Runs the self-check soon, because what is in force has changed. */
  readonly recheck: () => void
  readonly stop: () => void
}

/** `check`: the self-check of what is in force; see self-check.ts. `now`: Unix ms. */
type GuardOptions = {
  /** The engine is another process, which may change by itself. */
  readonly isRemote: boolean
  readonly inForce: () => InForce
  readonly check: () => Promise<SelfCheckFault | undefined>
  readonly log: PolicyLog
  readonly now: () => number
}

const CHECK_EVERY_MS = 5000

/** Guards the policy in force; starts the first self-check at once, and `ready()` is false until it has passed. */
export function createGuard(options: GuardOptions): Guard {
  const { inForce, check, log, isRemote } = options
  const gate = createGate(options)
  const recheck = createRecheck(
    async () => {
      const fault = await check()
      gate.report(fault)
      return fault === undefined
    },
    isRemote ? CHECK_EVERY_MS : undefined,
  )

  const decide: Decide = async (question, input, trace) => {
    // One decision uses one engine from start to end.
    const { engine } = inForce()
    try {
      gate.refuseIfShut()
      const decision = await engine.decide(question, input, trace)
      // The engine may have failed its self-check during this decision.
      gate.refuseIfShut()
      return decision
    } catch (cause: unknown) {
      // An error of an engine is never an allow and never a denial.
      const error = toAppError(cause, 'policy_engine_error')
      if (gate.fault() === undefined) {
        const detail = String(error.cause).slice(0, MAX_DETAIL)
        const ids = { ...(trace && traceFields(trace)), decision_id: input.context.decision_id }
        log.warn(
          { event: 'policy_trouble', ...ids, engine: engine.name, code: error.code, detail },
          'no decision could be made',
        )
        recheck.soon()
      }
      throw error
    }
  }

  return { decide, ready: () => readiness(gate.fault()), recheck: () => recheck.soon(), stop: () => recheck.stop() }
}

// An engine's own message goes only to the log, and is limited in length.
const MAX_DETAIL = 256

type Gate = {
  fault(): SelfCheckFault | undefined
  /** Takes the result of a self-check, and logs a change: an outage once, its end once. */
  report(fault: SelfCheckFault | undefined): void
  /** @throws {AppError} the fault's code */
  refuseIfShut(): void
}

function createGate({ inForce, log, now }: GuardOptions): Gate {
  let fault: SelfCheckFault | undefined = {
    code: 'policy_not_ready',
    reason: 'the first self-check has not passed yet',
  }
  let wasEverOpen = false
  let shutSinceMs = now()

  const open = (): void => {
    if (fault === undefined) return
    fault = undefined
    wasEverOpen = true
    const { engine, revision } = inForce()
    const waitedMs = now() - shutSinceMs
    log.info({ event: 'policy_ready', engine: engine.name, revision, waited_ms: waitedMs }, 'policy is ready')
  }
  const shut = ({ code, reason, detail }: SelfCheckFault): void => {
    const isNews = fault?.reason !== reason
    if (fault === undefined) shutSinceMs = now()
    // Before the first passed check no policy was in force, whatever the fault is.
    fault = { code: wasEverOpen ? code : 'policy_not_ready', reason }
    if (!isNews) return
    const event = code === 'policy_engine_unavailable' ? 'opa_unreachable' : 'policy_self_check_failed'
    log.error(
      { event, engine: inForce().engine.name, reason, detail: detail?.slice(0, MAX_DETAIL) },
      'policy cannot be used: calls are refused',
    )
  }

  return {
    fault: () => fault,
    report: (next) => (next === undefined ? open() : shut(next)),
    refuseIfShut: () => {
      if (fault !== undefined) throw new AppError(fault.code, undefined, { cause: new Error(fault.reason) })
    },
  }
}

function readiness(fault: SelfCheckFault | undefined): PolicyReadiness {
  return fault === undefined ? { ok: true } : { ok: false, reason: fault.reason }
}
