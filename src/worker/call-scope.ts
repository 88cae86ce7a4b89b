// The scope of one call: its signal aborts at the deadline, when the caller leaves, and when the worker stops.
import type { Readable } from 'node:stream'
import { RuntimeError } from './call-error.ts'

export type CallScope = {
  readonly signal: AbortSignal
  /** Rejects with the reason of the abort; never settles otherwise. */
  readonly ended: Promise<never>
  /** Ends the deadline when the answer begins: it limits the time to the first byte only. */
  liftDeadline(): void
  /** Releases the timer and the listeners. The signal no longer aborts. */
  close(): void
}

/**
 * `deadlineMs` counts from the end of the body, since the caller controls the upload; undefined: no deadline.
 * `callerLeft` and `stopped` are signals that outlive the call.
 */
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
    // Not forever: the controller cuts off a caller that stops sending.
    if (isArriving(opts.body)) timer?.refresh()
    else end(new RuntimeError('DEADLINE_EXCEEDED', 'the call exceeded its deadline'))
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

/** Whether the body is still being sent; a stream without `complete` counts as received. */
function isArriving(body: Readable & { readonly complete?: boolean }): boolean {
  return body.complete === false && !body.destroyed
}
