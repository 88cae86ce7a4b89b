// One answer of a SPIFFE Workload API, for a command that ends before anything changes.
import type { Credentials } from '../tls/credential-set.ts'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import type { WorkloadEndpoint } from './endpoint.ts'
import { FIRST_SVID, type SvidChoice } from './svid-choice.ts'
import { decodeResponse, endError, placeOf } from './workload-words.ts'
import type { X509Response } from './x509-response.ts'
import { toSnapshot } from './x509-snapshot.ts'
import { createX509Streams } from './x509-stream.ts'

/** Dials once. @throws {Error} when there is no answer within `timeoutMs`, or an error, with what to do about it */
export async function fetchX509Response(endpoint: WorkloadEndpoint, timeoutMs: number): Promise<X509Response> {
  const where = placeOf(endpoint)
  const open = await createX509Streams(endpoint)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const cancel = open({ onMessage: resolve, onEnd: (end) => reject(endError(where, end)) })
  const timer = setTimeout(() => reject(new Error(`${where}: no answer within ${timeoutMs} ms`)), timeoutMs)
  try {
    return decodeResponse(await promise, where)
  } finally {
    clearTimeout(timer)
    cancel()
  }
}

type FetchOptions = {
  readonly endpoint: WorkloadEndpoint
  readonly choice: SvidChoice
  readonly trustDomain: TrustDomain
  readonly timeoutMs: number
  readonly now: () => number
}

/** The chosen SVID of one answer, checked. @throws {Error} as `fetchX509Response` and `toSnapshot` do */
export async function fetchCredentials({
  endpoint,
  choice,
  trustDomain,
  timeoutMs,
  now,
}: FetchOptions): Promise<Credentials> {
  const response = await fetchX509Response(endpoint, timeoutMs)
  return toSnapshot(response, { where: placeOf(endpoint), choice, trustDomain, nowMs: now() }).credentials
}

/** One SVID of a response. `credentials`: undefined if it cannot be used; `faults` then say why. */
export type GivenSvid = {
  readonly spiffeId: string
  readonly hint: string
  readonly credentials: Credentials | undefined
  readonly faults: readonly string[]
}

/** Checks every SVID of a response, of whatever trust domain. Never throws. */
export function readEachSvid(endpoint: WorkloadEndpoint, response: X509Response, nowMs: number): GivenSvid[] {
  const where = placeOf(endpoint)
  return response.svids.map((svid) => {
    const { spiffeId, hint } = svid
    try {
      const only = { ...response, svids: [svid] }
      return { spiffeId, hint, ...toSnapshot(only, { where, choice: FIRST_SVID, trustDomain: undefined, nowMs }) }
    } catch (error: unknown) {
      return { spiffeId, hint, credentials: undefined, faults: [error instanceof Error ? error.message : 'malformed'] }
    }
  })
}
