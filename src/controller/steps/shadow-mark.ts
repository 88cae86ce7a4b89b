// On the path of every call. Marks a call that passes only because
// of shadow mode, with a header of the answer to the caller.
import { HEADERS } from '../../core/wire.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { RouteCall } from '../call.ts'

/** The call to forward to a worker. */
export function markedIfShadowed(call: RouteCall, { ruling }: Verdict): RouteCall {
  if (ruling === 'allow') return call
  const start: RouteCall['sink']['start'] = (status, headers) => {
    headers.push(HEADERS.shadow, ruling)
    call.sink.start(status, headers)
  }
  return { ...call, sink: { ...call.sink, start } }
}
