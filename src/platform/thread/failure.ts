// Why a request to a thread has no reply.

/**
 * `fault`: only this request failed, the thread goes on. All others end the thread: `crashed` (an error that nobody caught, or
 * a thread that cannot start), `exited`, `aborted` (another request's caller left), `closed` by its owner, or a limit.
 */
type ThreadFailureReason =
  'fault' | 'crashed' | 'exited' | 'aborted' | 'closed' | 'memory_limit' | 'cpu_limit' | 'wall_limit'

/** `message` quotes nothing of the request; `cause`, the error from the thread, may. */
export class ThreadFailure extends Error {
  override readonly name = 'ThreadFailure'
  readonly reason: ThreadFailureReason
  constructor(reason: ThreadFailureReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** What an `error` event of a thread stands for. */
export function failureOf(error: unknown): ThreadFailure {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return memoryFailure({ cause: error })
  return new ThreadFailure('crashed', `a thread failed${code === undefined ? '' : ` with ${code}`}`, { cause: error })
}

export function memoryFailure(options?: ErrorOptions): ThreadFailure {
  return new ThreadFailure('memory_limit', 'a thread reached its memory limit', options)
}
