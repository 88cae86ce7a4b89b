// The credentials that a SPIFFE Workload API gives this process: each message of its stream is checked as a whole, and replaces
// all that came before. https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md
import type { TrustDomain } from '../../core/spiffe-id.ts'
import type { EventLog } from '../logger.ts'
import { createReportedFault } from '../reported-fault.ts'
import { createHeldCredentials, type CredentialSource, type HeldCredentials } from '../tls/credential-holder.ts'
import type { Credentials } from '../tls/credential-set.ts'
import type { WorkloadEndpoint } from './endpoint.ts'
import { keepStreaming, type StreamDown, type StreamPace } from './keep-streaming.ts'
import { FIRST_SVID, type SvidChoice } from './svid-choice.ts'
import { decodeResponse, endError, placeOf } from './workload-words.ts'
import { toSnapshot, WrongIdentityError } from './x509-snapshot.ts'
import { createX509Streams } from './x509-stream.ts'

type WorkloadOptions = {
  readonly now: () => number
  readonly log: EventLog
  /** Default: the first SVID. */
  readonly choice?: SvidChoice
  /** The trust domain that the SVID must have. Default: any. */
  readonly trustDomain?: TrustDomain
  /** Whether the SPIFFE ID must stay the one of the first SVID. */
  readonly keepsIdentity: boolean
  /** Ends the wait for the first SVID. */
  readonly signal?: AbortSignal
  readonly random?: () => number
  readonly pace?: Partial<StreamPace>
}

/** After this time without an answer the log says what the start waits for. */
const SILENT_MS = 5000

/**
 * Resolves with the first good SVID, however long that takes. From then on the last good one stays in use, until and past its
 * expiry.
 * @throws {WrongIdentityError} when the first SVID is of another trust domain
 * @throws {Error} when the endpoint cannot give SVIDs at all, or when `signal` aborts first
 */
export async function watchWorkloadApi(
  endpoint: WorkloadEndpoint,
  options: WorkloadOptions,
): Promise<CredentialSource> {
  const { log, signal, random = Math.random, pace = {} } = options
  const { first, giveUp, ...listener } = createReceiver(placeOf(endpoint), options)
  const stop = keepStreaming({ open: await createX509Streams(endpoint), ...listener, random, pace })
  const silence = setTimeout(
    () => log.warn({ event: 'workload_api_waiting', endpoint: endpoint.text }, WAITING),
    SILENT_MS,
  )
  if (signal?.aborted === true) giveUp()
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    const held = await first
    return {
      ...held,
      close() {
        held.close()
        stop()
      },
    }
  } catch (error: unknown) {
    stop()
    throw error
  } finally {
    clearTimeout(silence)
    signal?.removeEventListener('abort', giveUp)
  }
}

type Receiver = {
  readonly onMessage: (bytes: Buffer) => boolean
  readonly onDown: (down: StreamDown) => void
  readonly first: Promise<HeldCredentials>
  /** Rejects `first`, with the last fault. */
  readonly giveUp: () => void
}

/** Checks the messages and keeps the last good one. */
function createReceiver(where: string, options: WorkloadOptions): Receiver {
  const { now, log, choice = FIRST_SVID, trustDomain, keepsIdentity } = options
  const { promise: first, resolve, reject } = Promise.withResolvers<HeldCredentials>()
  const faults = createReportedFault()
  const leftOut = createReportedFault()
  let held: HeldCredentials | undefined

  function use({ credentials, faults: unused }: ReturnType<typeof toSnapshot>): void {
    if (keepsIdentity && held !== undefined) checkSameIdentity(credentials, held.current(), where)
    const reason = unused.join('; ')
    if (reason === '') leftOut.end()
    else if (leftOut.isNews(reason)) log.warn({ event: 'federated_bundle_refused', reason }, BUNDLE_REFUSED)
    if (faults.end()) log.info({ event: 'workload_api_recovered' }, 'the Workload API gives good SVIDs again')
    if (held === undefined) resolve((held = createHeldCredentials(credentials, { now, log })))
    else held.replace(credentials)
    held.reportExpiry()
  }

  function fail(error: Error): void {
    if (held === undefined && error instanceof WrongIdentityError) reject(error)
    else if (!faults.isNews(error.message)) return
    else if (held === undefined) log.warn({ event: 'workload_api_waiting', reason: error.message }, WAITING)
    else held.report(error)
  }

  return {
    first,
    giveUp: () => reject(new Error(faults.current() ?? `${where}: no answer in time`)),
    onMessage(bytes) {
      try {
        use(toSnapshot(decodeResponse(bytes, where), { where, choice, trustDomain, nowMs: now() }))
        return true
      } catch (error: unknown) {
        fail(error as Error)
        return false
      }
    },
    onDown({ end, retryMs, wasGood }) {
      // The end of a stream that worked is no fault: an agent restarts. It is one if the next dial fails.
      if (wasGood && end.code !== 'PERMISSION_DENIED' && retryMs !== undefined) {
        log.info({ event: 'workload_api_stream_ended', ...end }, 'the stream of SVIDs ended; it is opened again')
      } else if (held === undefined && retryMs === undefined) reject(endError(where, end))
      else fail(endError(where, end))
    },
  }
}

const WAITING = 'waiting for the first SVID of the Workload API'
const BUNDLE_REFUSED = 'a federated bundle cannot be used; nobody of that trust domain is trusted'

/** A process keeps its identity: what its peers expect of it, and its leases and rights, belong to that one. */
function checkSameIdentity(next: Credentials, current: Credentials, where: string): void {
  if (next.spiffeId === current.spiffeId) return
  throw new Error(
    `${where}: gives ${next.spiffeId}, but this process is ${current.spiffeId}; name the SVID with CRANK_SVID, or restart it as the other one`,
  )
}
