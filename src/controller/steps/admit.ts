// On the path of every call. Step 0: whether the controller takes the call now, within the limits of its caller and its own,
// and with which priority. Nothing is asked of the policy for a call that is refused here.
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { LoadGate, Slot } from '../admission/load-gate.ts'
import type { Hold, Quotas } from '../admission/quotas.ts'
import { limitedReason, type LimitedReason } from '../admission/rate-limited.ts'
import type { RouteCall } from '../call.ts'

/** A call that was let in. Dispose of it when the call has ended. */
type Admitted = Disposable & {
  /** The call, with the priority that it gets. */
  readonly call: RouteCall
  /** The verdict is durable: the controller's own work is done, and the next call may come in. */
  readonly decided: (verdict: Verdict) => void
}

type AdmitDeps = {
  readonly quotas: Quotas
  readonly gate: LoadGate
  /** The bytes that a body without a declared length counts as. */
  readonly undeclaredBytes: number
  readonly onLowered: (from: Priority, to: Priority) => void
  /** A limit of limits.json was reached. */
  readonly onLimited: (reason: LimitedReason, priority: Priority) => void
}

/** @throws {AppError} `rate_limited` or `overloaded` */
export type Admit = (call: RouteCall) => Promise<Admitted>

export function createAdmit({ quotas, gate, undeclaredBytes, onLowered, onLimited }: AdmitDeps): Admit {
  return async (asked) => {
    const priority = quotas.priorityOf(asked.caller, asked.priority)
    const call = priority === asked.priority ? asked : lowered(asked, priority)
    if (call !== asked) onLowered(asked.priority, priority)
    const { caller, capability } = call
    const hold = quotas.enter({ caller, capability, bytes: bytesOf(call, undeclaredBytes) })
    if (hold instanceof AppError) {
      const reason = limitedReason(hold)
      if (reason !== undefined) onLimited(reason, priority)
      throw hold
    }
    try {
      const entered = gate.enter({ caller, priority })
      return admitted(call, hold, entered instanceof Promise ? await entered : entered)
    } catch (cause: unknown) {
      hold.release()
      throw cause
    }
  }
}

function admitted(call: RouteCall, hold: Hold, slot: Slot): Admitted {
  return {
    call,
    // A policy engine that is down answers late or at once: neither says anything about the load.
    decided: (verdict) => slot.leave(verdict.decision !== undefined),
    [Symbol.dispose]() {
      slot.leave(false)
      hold.release()
    },
  }
}

function lowered(call: RouteCall, priority: Priority): RouteCall {
  call.span.setAttributes({ 'crank.priority': priority, 'crank.priority_requested': call.priority })
  return { ...call, priority, requestedPriority: call.priority }
}

function bytesOf({ body, contentLength }: RouteCall, undeclaredBytes: number): number {
  return Buffer.isBuffer(body) ? body.length : (contentLength ?? undeclaredBytes)
}
