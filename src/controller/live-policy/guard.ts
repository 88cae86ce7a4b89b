// On the path of every call. What stands between an engine and the pipeline: nothing but a Decision or an AppError comes
// out, and no answer is trusted while the engine fails its self-check.
//
// Every single answer is parsed strictly, so one timeout does not shut the door; it triggers a self-check at once, and
// a failed self-check does. From then on callers are refused without waiting (no 100 ms each on a hanging sidecar) until
// a self-check passes: an engine that came back empty, or with a policy that allows everybody, stays out. A check also
// runs every few seconds, which notices a sidecar that was replaced while nobody asked.
import type { Decide } from '../../core/decision.ts'
import { AppError, toAppError } from '../../core/errors.ts'
import { traceFields } from '../../core/trace-context.ts'
import type { InForce } from '../../policy/engine/engine-kind.ts'
import { createRecheck } from './recheck.ts'
import type { SelfCheckFault } from '../../policy/engine/self-check.ts'

/** As much of a pino logger as is used here. */
export type PolicyLog = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

/** `reason` of one that is ready: what is to be known of it all the same. */
export type PolicyReadiness =
  { readonly ok: true; readonly reason?: string } | { readonly ok: false; readonly reason: string }

export type Guard = {
  readonly decide: Decide
  readonly ready: () => PolicyReadiness
  /** Runs the self-check now: what is in force has changed. */
  readonly recheck: () => void
  readonly stop: () => void
}

/** `check`: the self-check of what is in force; see self-check.ts. `now`: Unix ms. */
type GuardOptions = {
  readonly inForce: () => InForce
  readonly check: () => Promise<SelfCheckFault | undefined>
  readonly log: PolicyLog
  readonly now: () => number
}

/** Guards what is in force; the first self-check is started at once and `ready()` is red until it has passed. */
export function createGuard(options: GuardOptions): Guard {
  const { inForce, check, log } = options
  const gate = createGate(options)
  const recheck = createRecheck(async () => {
    const fault = await check()
    gate.report(fault)
    return fault === undefined
  })

  const decide: Decide = async (question, input, trace) => {
    // A decision ends on the engine it began with.
    const { engine } = inForce()
    try {
      gate.refuseIfShut()
      const decision = await engine.decide(question, input, trace)
      // The engine may have failed its self-check while this one was on its way.
      gate.refuseIfShut()
      return decision
    } catch (cause: unknown) {
      // Whatever an engine throws, it is never an allow and never a denial.
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

// An engine's own words are for the log, and not without end.
const MAX_DETAIL = 256

type Gate = {
  fault(): SelfCheckFault | undefined
  /** Takes the outcome of a self-check, and logs what changed: an outage once, its end once. */
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
    // Before the first pass no policy was ever in force, whatever the trouble is.
    fault = { code: wasEverOpen ? code : 'policy_not_ready', reason }
    if (!isNews) return
    const event = code === 'policy_engine_unavailable' ? 'opa_unreachable' : 'policy_self_check_failed'
    log.error(
      { event, engine: inForce().engine.name, reason, detail: detail?.slice(0, MAX_DETAIL) },
      'policy is not usable: calls are refused',
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
