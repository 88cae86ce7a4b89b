// On the path of every call. The log line of a verdict on a call.
import { RULINGS } from '../../core/ruling.ts'
import { createLineLog } from '../../platform/line-log.ts'
import type { Logger } from '../../platform/logger.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'

type Judged = { readonly call: RouteCall; readonly verdict: Verdict }

export function createVerdictLine(log: Logger): (call: RouteCall, verdict: Verdict) => void {
  const tell = createLineLog<Judged>(log, layOut)
  return (call, verdict) => tell(RULINGS[verdict.ruling].level, { call, verdict })
}

/** The sentence of the first reason against the call, else the grounds for it, else the error. */
export function reasonOf(verdict: Verdict): string {
  if (verdict.decision === undefined) return verdict.error.message
  const { reasons, grounds } = verdict.decision
  return reasons[0]?.message ?? grounds.join(', ')
}

/** Caller, capability and ids are of our own parsers, and need no escape. */
function layOut({ call, verdict }: Judged) {
  const { level, event, text: message } = RULINGS[verdict.ruling]
  const { caller, capability, trace, decisionId } = call
  const who = `"event":"${event}","requester":"${caller}","capability":"${capability}"`
  const ids = `"trace_id":"${trace.traceId}","span_id":"${trace.spanId}","decision_id":"${decisionId}"`
  const error = verdict.decision === undefined ? `,"error":"${verdict.error.code}"` : ''
  return { level, members: `${who},"reason":${JSON.stringify(reasonOf(verdict))},${ids}${error}`, message }
}
