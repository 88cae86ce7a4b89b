// On the path of every call. The mark on a call that only shadow mode lets through: its caller is told so, in a header of
// the answer.
import { HEADERS } from '../../core/wire.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'

/** The call as it goes on to a worker. */
export function markedIfShadowed(call: RouteCall, { ruling }: Verdict): RouteCall {
  if (ruling === 'allow') return call
  const start: RouteCall['sink']['start'] = (status, headers) => {
    headers.push(HEADERS.shadow, ruling)
    call.sink.start(status, headers)
  }
  return { ...call, sink: { ...call.sink, start } }
}
