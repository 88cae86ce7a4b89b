// On the path of every call. Step 0: whether the controller takes the call now, within the limits of its caller and its own,
// and with which priority. Nothing is asked of the policy for a call that is refused here.
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { LoadGate, Slot } from '../admission/load-gate.ts'
import type { Hold, Quotas } from '../admission/quotas.ts'
import { limitedReason, type LimitedReason } from '../admission/rate-limited.ts'
import type { RouteCall } from '../call.ts'

/** A call that was let in. Dispose of it when the call has ended. A class: one object per call, without a closure. */
class Admitted implements Disposable {
  /** The call, with the priority that it gets. */
  readonly call: RouteCall
  readonly #hold: Hold
  readonly #slot: Slot

  constructor(call: RouteCall, hold: Hold, slot: Slot) {
    this.call = call
    this.#hold = hold
    this.#slot = slot
  }

  /** The verdict is durable: the controller's own work is done, and the next call may come in. */
  decided({ decision }: Verdict): void {
    // A policy engine that is down answers late or at once: neither says anything about the load.
    this.#slot.leave(decision !== undefined)
  }

  [Symbol.dispose](): void {
    this.#slot.leave(false)
    this.#hold.release()
  }
}

type AdmitDeps = {
  readonly quotas: Quotas
  readonly gate: LoadGate
  /** The bytes that a body without a declared length counts as. */
  readonly undeclaredBytes: number
  readonly monotonic: () => number
  readonly onLowered: (from: Priority, to: Priority) => void
  /** A limit of limits.json was reached. */
  readonly onLimited: (reason: LimitedReason, priority: Priority) => void
}

type Entered = Pick<Admitted, 'call' | 'decided'> & Disposable

/** A promise only if the call has to wait. @throws {AppError} `rate_limited` or `overloaded`: at once, or the promise rejects */
export type Admit = (call: RouteCall) => Entered | Promise<Entered>

export function createAdmit(deps: AdmitDeps): Admit {
  const { quotas, gate, undeclaredBytes, onLowered, onLimited } = deps
  return (asked) => {
    const priority = quotas.priorityOf(asked.caller, asked.priority)
    const call = priority === asked.priority ? asked : lowered(asked, priority)
    if (call !== asked) onLowered(asked.priority, priority)
    const hold = quotas.enter(call, bytesOf(call, undeclaredBytes))
    if (hold instanceof AppError) {
      const reason = limitedReason(hold)
      if (reason !== undefined) onLimited(reason, priority)
      throw hold
    }
    const slot = gate.enter()
    return slot === undefined ? waitFor(deps, call, hold) : new Admitted(call, hold, slot)
  }
}

/** What is left of the call's time is for its worker. */
async function waitFor({ gate, monotonic }: AdmitDeps, call: RouteCall, hold: Hold): Promise<Admitted> {
  const { caller, priority, timeoutMs, sink } = call
  const sinceMs = monotonic()
  try {
    const slot = await gate.wait({ caller, priority, timeoutMs, hasLeft: () => sink.hasLeft() })
    const leftMs = Math.max(1, Math.round(timeoutMs - (monotonic() - sinceMs)))
    return new Admitted({ ...call, timeoutMs: leftMs }, hold, slot)
  } catch (cause: unknown) {
    hold.release()
    throw cause
  }
}

function lowered(call: RouteCall, priority: Priority): RouteCall {
  call.span.setAttributes({ 'crank.priority': priority, 'crank.priority_requested': call.priority })
  return { ...call, priority, requestedPriority: call.priority }
}

function bytesOf({ body, contentLength }: RouteCall, undeclaredBytes: number): number {
  return Buffer.isBuffer(body) ? body.length : (contentLength ?? undeclaredBytes)
}
