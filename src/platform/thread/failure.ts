// Why a request to a thread got no reply.

/**
 * `fault`: only this request failed, the thread continues. All others end the thread: `crashed` (an uncaught error, or a
 * thread that cannot start), `exited`, `aborted` (another request's caller left), `closed` by its owner, or a limit.
 */
type ThreadFailureReason =
  'fault' | 'crashed' | 'exited' | 'aborted' | 'closed' | 'memory_limit' | 'cpu_limit' | 'wall_limit'

/** `message` quotes nothing from the request; `cause`, the error from the thread, may do so. */
export class ThreadFailure extends Error {
  override readonly name = 'ThreadFailure'
  readonly reason: ThreadFailureReason
  constructor(reason: ThreadFailureReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** The failure that an `error` event of a thread means. */
export function failureOf(error: unknown): ThreadFailure {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return memoryFailure({ cause: error })
  return new ThreadFailure('crashed', `a thread failed${code === undefined ? '' : ` with ${code}`}`, { cause: error })
}

export function memoryFailure(options?: ErrorOptions): ThreadFailure {
  return new ThreadFailure('memory_limit', 'a thread reached its memory limit', options)
}
