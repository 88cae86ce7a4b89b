// One attempt at one controller: what came of it, and above all whether anything was sent.
import type { Dispatcher } from 'undici'
import { ConnectError } from '../../platform/tls/connect-failure.ts'
import type { Endpoint } from './endpoint.ts'

type AttemptOptions = {
  /** Ends the attempt for good. */
  readonly signal: AbortSignal | undefined
  /** How long to wait for a connection; undefined: as long as connecting takes. */
  readonly patienceMs: number | undefined
  /** The request may be sent a second time: a controller that hangs ends the attempt. */
  readonly isRepeatable: boolean
  /** There are other controllers: watch whether this one hangs. */
  readonly isWatched: boolean
}

/**
 * `sent` is false only if no byte of the request was sent. `isSlow`: there was no connection within `patienceMs`, and there may
 * be one later. `isSilent`: it was not refused; there is just no answer, as of a machine that is busy.
 */
export type AttemptResult =
  | { readonly kind: 'answered'; readonly answer: Dispatcher.ResponseData }
  | {
      readonly kind: 'failed'
      readonly sent: boolean
      readonly isSlow: boolean
      readonly isSilent: boolean
      readonly error: Error
    }

/** It was found out that the controller answers nobody. */
class HungError extends Error {
  override readonly name = 'HungError'
}

const SILENT: ReadonlySet<ConnectError['kind']> = new Set(['connect_timeout', 'tls'])

/** Never rejects. */
export async function attempt(
  endpoint: Endpoint,
  request: Omit<Dispatcher.RequestOptions, 'signal'>,
  { signal, patienceMs, isRepeatable, isWatched }: AttemptOptions,
): Promise<AttemptResult> {
  const own = new AbortController()
  let isSent = false
  let isSlow = false
  const onLate = (): void => {
    if (isSent) return
    isSlow = true
    own.abort(new ConnectError('connect_timeout', `no connection within ${patienceMs} ms`))
  }
  const onHung = (reason: string): void => {
    if (isSent && !isRepeatable) return
    own.abort(new HungError(reason))
  }
  const timer = patienceMs === undefined ? undefined : setTimeout(onLate, patienceMs)
  const unwatch = isWatched ? endpoint.watch(onHung) : undefined
  try {
    const either = signal === undefined ? own.signal : AbortSignal.any([signal, own.signal])
    const answer = await endpoint.request({ ...request, signal: either }, () => (isSent = true))
    return { kind: 'answered', answer }
  } catch (error: unknown) {
    const isSilent = error instanceof HungError || (error instanceof ConnectError && SILENT.has(error.kind))
    return { kind: 'failed', sent: isSent, isSlow, isSilent, error: error as Error }
  } finally {
    clearTimeout(timer)
    unwatch?.()
  }
}
