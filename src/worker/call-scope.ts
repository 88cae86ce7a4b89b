// The life of one call: its signal, which aborts at the deadline, when the caller leaves, and when the worker stops.
import type { Readable } from 'node:stream'
import { RuntimeError } from './call-error.ts'

export type CallScope = {
  readonly signal: AbortSignal
  /** Rejects with the reason of the abort, as soon as there is one; otherwise never settles. */
  readonly ended: Promise<never>
  /** The answer has begun: the deadline was for its first byte. */
  liftDeadline(): void
  /** Releases the timer and the listeners. The signal does not abort any more. */
  close(): void
}

/** `deadlineMs` from the end of the body, whose upload is the caller's time; undefined: none. `callerLeft` and `stopped` are signals that outlive the call. */
export function createCallScope(opts: {
  readonly deadlineMs: number | undefined
  readonly body: Readable
  readonly callerLeft: AbortSignal
  readonly stopped: AbortSignal
}): CallScope {
  const controller = new AbortController()
  const { promise: ended, reject } = Promise.withResolvers<never>()
  ended.catch(() => undefined)
  const end = (error: RuntimeError) => {
    controller.abort(error)
    reject(error)
  }
  const onLeft = () => end(new RuntimeError('CALLER_LEFT', 'the caller left'))
  const onStopped = () => end(new RuntimeError('SHUTTING_DOWN', 'the worker is shutting down'))
  const onDeadline = () => {
    // Not forever: a caller that stops sending is cut off by the controller.
    if (isArriving(opts.body)) timer?.refresh()
    else end(new RuntimeError('DEADLINE_EXCEEDED', 'the time for this call is over'))
  }
  const timer = opts.deadlineMs === undefined ? undefined : setTimeout(onDeadline, opts.deadlineMs)
  const onBodyRead = () => timer?.refresh()
  opts.body.once('end', onBodyRead)
  opts.callerLeft.addEventListener('abort', onLeft, { once: true })
  opts.stopped.addEventListener('abort', onStopped, { once: true })
  if (opts.callerLeft.aborted) onLeft()
  if (opts.stopped.aborted) onStopped()
  const liftDeadline = () => {
    clearTimeout(timer)
    opts.body.off('end', onBodyRead)
  }
  return {
    signal: controller.signal,
    ended,
    liftDeadline,
    close() {
      liftDeadline()
      opts.callerLeft.removeEventListener('abort', onLeft)
      opts.stopped.removeEventListener('abort', onStopped)
    },
  }
}

/** Still being sent; a stream that does not say so is there. */
function isArriving(body: Readable & { readonly complete?: boolean }): boolean {
  return body.complete === false && !body.destroyed
}
