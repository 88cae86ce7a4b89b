// What messages about a Workload API say: which one it is, how a stream ended, and what to do about it.
import type { WorkloadEndpoint } from './endpoint.ts'
import { decodeX509Response, type X509Response } from './x509-response.ts'
import type { StreamEnd } from './x509-stream.ts'

const CURES: Readonly<Record<string, string>> = {
  UNAVAILABLE: 'start the SPIFFE agent, and let this process open its socket',
  PERMISSION_DENIED: 'the agent has no identity for this process: register an entry that fits it',
  INVALID_ARGUMENT: 'not tried again: correct the endpoint, and restart this process',
  UNIMPLEMENTED:
    'this is no Workload API with X.509-SVIDs; not tried again: correct the endpoint, and restart this process',
}

/** The name of an endpoint in messages. */
export function placeOf({ text }: WorkloadEndpoint): string {
  return `the Workload API at ${text}`
}

/** Says how a stream ended, and the cure if the code has one. */
export function endError(where: string, { code, details }: StreamEnd): Error {
  const cure = CURES[code]
  return new Error(`${where}: ${code}: ${details}${cure === undefined ? '' : `; ${cure}`}`)
}

/** @throws {Error} when the bytes are no response */
export function decodeResponse(bytes: Buffer, where: string): X509Response {
  try {
    return decodeX509Response(bytes)
  } catch (cause: unknown) {
    throw new Error(`${where}: the response cannot be decoded`, { cause })
  }
}
