// The FetchX509SVID stream of a Workload API over gRPC, without TLS, as the SPIFFE Workload Endpoint wants it. One stream is
// one dial: whether and when to try again is decided in workload-source.ts.
import type { WorkloadEndpoint } from './endpoint.ts'

/** How a stream ended: the gRPC code by name, such as `UNAVAILABLE`, and what the server says. */
export type StreamEnd = { readonly code: string; readonly details: string }

type StreamListener = {
  /** A message as it came: not decoded yet. */
  readonly onMessage: (bytes: Buffer) => void
  /** Called once, after the last message; not after `cancel`. */
  readonly onEnd: (end: StreamEnd) => void
}

/** Opens a stream. The returned function cancels it. Never throws. */
export type OpenStream = (listener: StreamListener) => () => void

const METHOD = '/SpiffeWorkloadAPI/FetchX509SVID'
/** Section 3: proof that the caller means the Workload API; a server refuses calls without it. */
const SECURITY_HEADER = 'workload.spiffe.io'

/** Loads the gRPC package, which only processes with a Workload API need. */
export async function createX509Streams(endpoint: WorkloadEndpoint): Promise<OpenStream> {
  const { Client, credentials, Metadata, status } = await import('@grpc/grpc-js')
  const metadata = new Metadata()
  metadata.set(SECURITY_HEADER, 'true')
  const options = {
    // A client of its own for each stream: the channel shares no connection, and has no time for a second dial.
    'grpc.use_local_subchannel_pool': 1,
    // A proxy of the environment must not get between us and our key.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  }
  const same = (bytes: Buffer): Buffer => bytes
  return ({ onMessage, onEnd }) => {
    const client = new Client(endpoint.target, credentials.createInsecure(), options)
    // The request, X509SVIDRequest, has no fields.
    const call = client.makeServerStreamRequest(METHOD, same, same, Buffer.alloc(0), metadata)
    let isOver = false
    const end = (): boolean => {
      if (isOver) return false
      isOver = true
      client.close()
      return true
    }
    call.on('data', (bytes: Buffer) => {
      if (!isOver) onMessage(bytes)
    })
    // The same as the status, which follows.
    call.on('error', () => undefined)
    call.on('status', ({ code, details }) => {
      if (end()) onEnd({ code: status[code], details })
    })
    return () => {
      if (end()) call.cancel()
    }
  }
}
