// An X.509 source after the model of go-spiffe: the current SVID and trust bundles of this workload, kept up to date, and
// verification of peers against them.
import type { X509Certificate } from 'node:crypto'
import type { Server, TlsOptions, TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { parseSpiffeId, trustDomainOf, type SpiffeId } from '../core/spiffe-id.ts'
import { spiffeEndpointSocket } from '../platform/env.ts'
import type { EventLog } from '../platform/logger.ts'
import { parseWorkloadEndpoint, type WorkloadEndpoint } from '../platform/spiffe/endpoint.ts'
import { FIRST_SVID, parseSvidChoice } from '../platform/spiffe/svid-choice.ts'
import { watchWorkloadApi } from '../platform/spiffe/workload-source.ts'
import { createPeerVerifier } from '../platform/svid/verify.ts'
import { createConnectionKeeper } from '../platform/tls/connection-keeper.ts'
import type { Credentials } from '../platform/tls/credentials.ts'
import { createPinnedConnector, serverTlsOptions } from '../platform/tls/tls.ts'

/** One snapshot: all parts came with the same response of the Workload API, and fit together. */
export type X509Context = {
  readonly spiffeId: SpiffeId
  /** The leaf, then its intermediates: `cert` of `node:tls`. */
  readonly certPem: string
  /** PKCS #8: `key` of `node:tls`. */
  readonly keyPem: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** The CAs of each trust domain, our own and federated ones. Never merge them: a CA has a say in its own domain only. */
  readonly bundles: ReadonlyMap<string, readonly X509Certificate[]>
}

/** A peer whose certificate chains to the bundle of its own trust domain. */
export type VerifiedPeer = { readonly spiffeId: SpiffeId; readonly trustDomain: string; readonly notAfter: Date }

export type X509SourceOptions = {
  /** `unix:///path` or `tcp://ip:port`. Default: the variable SPIFFE_ENDPOINT_SOCKET. */
  readonly endpoint?: string
  /** Which SVID, if there are several: its SPIFFE ID, or its hint. Default: the first, whatever its SPIFFE ID is by then. */
  readonly svid?: string
  /** Ends the wait for the first SVID, which is otherwise without limit. */
  readonly signal?: AbortSignal
  /** What happens to the stream, and what is refused of it. Default: nobody is told. A pino logger fits. */
  readonly log?: EventLog
}

type Events = {
  /** There is another context, with an SVID or bundles that are not those of the one before. */
  readonly update: (next: X509Context, previous: X509Context) => void
  /** The context in use cannot be renewed: called once for each different reason. It stays in use, past its expiry too. */
  readonly fault: (error: Error) => void
}

export type X509Source = AsyncDisposable & {
  readonly current: () => X509Context
  /** Listens to an event. The returned function ends that. */
  readonly on: <Name extends keyof Events>(event: Name, listener: Events[Name]) => () => void
  /**
   * The peer of a finished handshake, verified by the rules of X.509-SVID against the bundle of its trust domain. Who may do what
   * is yours to decide.
   * @throws {Error} when the peer is not who it says it is; `code` says why, such as `client_certificate_expired`
   */
  readonly verifyPeer: (socket: TLSSocket) => VerifiedPeer
  /** Options for `tls.createServer` and `https.createServer`: TLS 1.3, a client certificate is required, no resumption. */
  readonly serverOptions: () => TlsOptions
  /**
   * Keeps a server made with `serverOptions` up to date: new handshakes use the current SVID, and connections end when their
   * peer is no longer trusted. Call it before the server listens; call `verifyPeer` for each connection all the same. The
   * returned function ends it.
   */
  readonly follow: (server: Server) => () => void
  /** `connect` for a pool or an agent of undici, for one peer only: any other is refused before a byte is sent. */
  readonly connector: (peer: string) => buildConnector.connector
  /** Ends the stream. Until then it keeps the process alive. */
  readonly close: () => void
}

/**
 * Opens a source, and resolves when the first SVID is there. Retries for as long as that takes, at most once a second.
 * @throws {Error} when the address or the choice is malformed, when the endpoint has no X.509-SVIDs at all, or on `signal`
 */
export async function createX509Source(options: X509SourceOptions = {}): Promise<X509Source> {
  const { svid, signal, log = SILENT } = options
  const now = Date.now
  const source = await watchWorkloadApi(endpointOf(options), {
    now,
    log,
    choice: svid === undefined ? FIRST_SVID : named('svid', svid, parseSvidChoice),
    keepsIdentity: false,
    ...(signal === undefined ? {} : { signal }),
  })
  const verifier = createPeerVerifier({ now })
  const on: X509Source['on'] = (event, listener) =>
    event === 'update'
      ? source.onChange((next, previous) => (listener as Events['update'])(toContext(next), toContext(previous)))
      : source.onFault(listener as Events['fault'])

  return {
    current: () => toContext(source.current()),
    on,
    verifyPeer(socket) {
      const { spiffeId, notAfterMs } = verifier.verify(socket, source.current())
      return { spiffeId, trustDomain: trustDomainOf(spiffeId), notAfter: new Date(notAfterMs) }
    },
    serverOptions: () => serverTlsOptions(source.current(), { refuseUnverified: true }),
    follow: (server) => createConnectionKeeper({ server, source, verifier, log }).close,
    connector: (peer) => createPinnedConnector({ source, verifier, expected: named('peer', peer, parseSpiffeId) }),
    close: source.close,
    [Symbol.asyncDispose]() {
      source.close()
      return Promise.resolve()
    },
  }
}

const nothing = (): void => undefined
const SILENT: EventLog = { info: nothing, warn: nothing, error: nothing }

function endpointOf({ endpoint }: X509SourceOptions): WorkloadEndpoint {
  if (endpoint !== undefined) return named('endpoint', endpoint, parseWorkloadEndpoint)
  const variable = spiffeEndpointSocket()
  if (variable !== undefined) return named('SPIFFE_ENDPOINT_SOCKET', variable, parseWorkloadEndpoint)
  throw new Error('SPIFFE_ENDPOINT_SOCKET is not set: set it to the socket of the SPIFFE agent, or pass `endpoint`')
}

function named<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (cause: unknown) {
    throw new Error(`${name}=${JSON.stringify(text)}: ${cause instanceof Error ? cause.message : 'malformed'}`, {
      cause,
    })
  }
}

function toContext({ spiffeId, certPem, keyPem, bundles, notBeforeMs, notAfterMs }: Credentials): X509Context {
  return { spiffeId, certPem, keyPem, bundles, notBefore: new Date(notBeforeMs), notAfter: new Date(notAfterMs) }
}
