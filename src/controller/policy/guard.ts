// What stands between an engine and the pipeline: nothing but a Decision or an AppError comes out, and no answer is
// trusted while the engine fails its self-check.
//
// Every single answer is parsed strictly, so one timeout does not shut the door; it triggers a self-check at once, and
// a failed self-check does. From then on callers are refused without waiting (no 100 ms each on a hanging sidecar) until
// a self-check passes: an engine that came back empty, or with a policy that allows everybody, stays out. A check also
// runs every few seconds, which notices a sidecar that was replaced while nobody asked.
import type { Capability } from '../../core/capability.ts'
import type { Decide, PolicyEngine } from '../../core/decision.ts'
import { AppError, toAppError, type ErrorCode } from '../../core/errors.ts'
import type { PolicyFiles } from './policy-files.ts'
import { createSelfCheck, type SelfCheckFault } from './self-check.ts'

/** As much of a pino logger as is used here. */
export type PolicyLog = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

export type PolicyMetrics = {
  /** A decision that could not be made. */
  readonly onTrouble?: (code: ErrorCode) => void
  readonly onReadyChange?: (ready: boolean) => void
}

export type PolicyReadiness = { readonly ok: true } | { readonly ok: false; readonly reason: string }

export type Policy = {
  readonly engine: PolicyEngine['name']
  readonly decide: Decide
  readonly ready: () => PolicyReadiness
  /** 12 hex digits over Rego and data. */
  readonly revision: () => string
  readonly knownCapabilities: ReadonlySet<Capability>
  readonly close: () => Promise<void>
}

/** `now`: Unix ms. */
export type PolicyOptions = {
  readonly engine: PolicyEngine
  readonly files: PolicyFiles
  readonly log: PolicyLog
  readonly now: () => number
  readonly metrics?: PolicyMetrics
}

const CHECK_EVERY_MS = 5000
const RETRY_FIRST_MS = 250
const RETRY_MAX_MS = 2000

/** Wraps an engine; the first self-check is started at once and `ready()` is red until it has passed. */
export function createPolicy({ engine, files, log, now, metrics = {} }: PolicyOptions): Policy {
  const check = createSelfCheck({ engine, files, now })
  let fault: SelfCheckFault | undefined = {
    code: 'policy_not_ready',
    reason: 'the first self-check has not passed yet',
  }
  let wasReady = false
  let brokenSinceMs = now()
  const report = (next: SelfCheckFault | undefined): void => {
    const before = fault
    // Before the first pass nothing was ever loaded, whatever the trouble is.
    fault = next === undefined || wasReady ? next : { ...next, code: 'policy_not_ready' }
    if (next === undefined) {
      if (before === undefined) return
      wasReady = true
      metrics.onReadyChange?.(true)
      log.info(
        { event: 'policy_ready', engine: engine.name, revision: files.revision, waited_ms: now() - brokenSinceMs },
        'policy engine is ready',
      )
      return
    }
    if (before === undefined) {
      brokenSinceMs = now()
      metrics.onReadyChange?.(false)
    }
    if (before?.reason === next.reason) return
    const event = next.code === 'policy_engine_unavailable' ? 'opa_unreachable' : 'policy_self_check_failed'
    log.error(
      { event, engine: engine.name, reason: next.reason, detail: next.detail },
      'policy engine is not usable: every call is refused',
    )
  }

  const timer = createRecheck(async () => {
    report(await check())
    return fault === undefined
  })

  const refuseIfBroken = (): void => {
    if (fault !== undefined) throw new AppError(fault.code, undefined, { cause: new Error(fault.reason) })
  }

  return {
    engine: engine.name,
    decide: async (question, input, trace) => {
      refuseIfBroken()
      try {
        const decision = await engine.decide(question, input, trace)
        // The engine may have failed its self-check while this one was on its way.
        refuseIfBroken()
        return decision
      } catch (cause: unknown) {
        // Whatever an engine throws, it is never an allow and never a denial.
        const error = toAppError(cause, 'policy_engine_error')
        metrics.onTrouble?.(error.code)
        if (fault === undefined) {
          log.warn(
            { event: 'policy_trouble', code: error.code, detail: String(error.cause) },
            'no decision could be made',
          )
          timer.soon()
        }
        throw error
      }
    },
    ready: () => (fault === undefined ? { ok: true } : { ok: false, reason: fault.reason }),
    revision: () => files.revision,
    knownCapabilities: files.knownCapabilities,
    close: async () => {
      timer.stop()
      await engine.close()
    },
  }
}

type Recheck = { soon(): void; stop(): void }

/** Runs `check` now, then every few seconds while it resolves to true, with a bounded backoff while it does not. */
function createRecheck(check: () => Promise<boolean>): Recheck {
  let timer: NodeJS.Timeout | undefined
  let dueMs = Infinity
  let lastMs = -Infinity
  let backoffMs = RETRY_FIRST_MS
  let stopped = false

  const plan = (delayMs: number): void => {
    const due = performance.now() + delayMs
    if (stopped || due >= dueMs) return
    clearTimeout(timer)
    dueMs = due
    timer = setTimeout(() => void run(), delayMs).unref()
  }
  const run = async (): Promise<void> => {
    // While it runs, nothing else is planned: -Infinity is earlier than any due time.
    dueMs = -Infinity
    const passed = await check()
    lastMs = performance.now()
    dueMs = Infinity
    plan(passed ? CHECK_EVERY_MS : backoffMs)
    backoffMs = passed ? RETRY_FIRST_MS : Math.min(backoffMs * 2, RETRY_MAX_MS)
  }
  void run()

  return {
    // At most one check in 250 ms, however much trouble there is.
    soon: () => plan(Math.max(0, lastMs + RETRY_FIRST_MS - performance.now())),
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
