// Outgoing connections to one SPIFFE ID only. We verify every new socket ourselves:
// there is no session cache, and an SVID has no host name that Node could check.
import { isIP, type LookupFunction } from 'node:net'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { AppError } from '../../core/errors.ts'
import { trustDomainOf, type SpiffeId } from '../../core/spiffe-id.ts'
import { ConnectError, type ConnectFailureKind } from './connect-failure.ts'
import type { Addresses, HostLookup } from '../host-lookup.ts'
import type { Credentials, CredentialSource } from './credentials.ts'
import { keepEarlyAnswers } from './early-answer.ts'
import type { Peer, PeerVerifier } from '../svid/verify.ts'
import { presentedLeaf } from '../svid/presented-chain.ts'
import { inOrderForOpenssl } from '../svid/trust-bundle.ts'

type PinnedConnectorOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  /** The only identity that the peer may have. */
  readonly expected: SpiffeId
  /** For lookup, TCP and TLS together. */
  readonly timeoutMs?: number | undefined
  /** Resolves the host and checks its addresses for each new connection. Left out: the system's resolver, without a check. */
  readonly addresses?: HostLookup
  readonly now?: () => number
}

const TIMEOUT_MS = 5000
const MAX_TIMER_MS = 2_147_483_647
const ALPN = ['http/1.1']

/**
 * A `connect` function for undici. Fails with AppError `worker_failed` (`reasonCode`: the identity code) when the peer is not
 * `expected`, before a byte of a request is sent, and with ConnectError when there is no connection. An open socket ends as
 * soon as its peer no longer verifies: at once when the bundles change, and when a certificate on its path expires.
 */
export function createPinnedConnector(options: PinnedConnectorOptions): buildConnector.connector {
  const { source, expected, timeoutMs = TIMEOUT_MS, now = Date.now, addresses } = options
  const contextFor = contextPerGeneration(trustDomainOf(expected))
  const watch = createSocketWatch(source, (socket) => verifyPinned(socket, options), now)

  function open(target: Target, found: Addresses | undefined, endMs: number, callback: buildConnector.Callback): void {
    const { host, port, servername } = target
    const socket = connect({
      host,
      port,
      servername,
      ...(found === undefined ? {} : { lookup: lookupOf(found) }),
      secureContext: contextFor(source.current()),
      rejectUnauthorized: true,
      // This does not weaken the check: an SVID names no host. The SPIFFE ID is checked below, on every socket.
      checkServerIdentity: () => undefined,
      ALPNProtocols: ALPN,
    })
    // A refused handshake leaves no trace of its cause; this is the last moment to save the chain.
    socket.prependOnceListener('secure', () => presentedLeaf(socket))
    settleOnce(socket, { timeoutMs, leftMs: Math.max(endMs - performance.now(), 1) }, (error) => {
      const refused = error === undefined ? refusalOf(() => watch(socket)) : explained(error, socket, options)
      if (refused !== undefined) socket.destroy()
      if (refused === undefined) callback(null, keepEarlyAnswers(socket))
      else callback(refused, null)
    })
  }

  return (request, callback) => {
    const target = targetOf(request)
    const endMs = performance.now() + timeoutMs
    if (addresses === undefined) {
      open(target, undefined, endMs, callback)
      return
    }
    addresses(target.host, expected, AbortSignal.timeout(timeoutMs))
      .catch((cause: unknown) => Promise.reject(lookupError(target.host, cause, timeoutMs)))
      .then((found) => open(target, found, endMs, callback))
      .catch((error: unknown) => callback(error as Error, null))
  }
}

type Target = { readonly host: string; readonly port: number; readonly servername: string }

function targetOf({ hostname, port, servername }: buildConnector.Options): Target {
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    host,
    port: port === '' ? 443 : Number(port),
    servername: servername ?? (isIP(host) === 0 ? host : ''),
  }
}

/** Connects to exactly the addresses that were checked: the name is not resolved a second time. */
function lookupOf(found: Addresses): LookupFunction {
  return (_host, { all = false }, answer) => {
    const [first] = found
    if (all) answer(null, [...found])
    else answer(null, first?.address ?? '', first?.family)
  }
}

function lookupError(host: string, cause: unknown, timeoutMs: number): Error {
  if (cause instanceof ConnectError || cause instanceof AppError) return cause
  const isLate = cause instanceof Error && cause.name === 'TimeoutError'
  const why = isLate ? `no address within ${timeoutMs} ms` : 'has no address'
  return new ConnectError('dns', `${host}: ${why}`, { cause })
}

type Limit = { readonly timeoutMs: number; readonly leftMs: number }

/** Calls back once: without an error when TLS is established, with one when the connection failed, ended or took too long. */
function settleOnce(socket: TLSSocket, { timeoutMs, leftMs }: Limit, callback: (error?: Error) => void): void {
  let isConnected = false
  const onLate = (): void =>
    settle(new ConnectError(isConnected ? 'tls' : 'connect_timeout', `no TLS connection within ${timeoutMs} ms`))
  const timer = setTimeout(onLate, leftMs)
  const onConnect = (): void => void (isConnected = true)
  const onSecure = (): void => settle()
  const onError = (cause: NodeJS.ErrnoException): void =>
    settle(new ConnectError(kindOf(cause), cause.message, { cause }))
  const onClose = (): void => settle(new ConnectError('tls', 'the connection ended before TLS was established'))
  socket.setNoDelay(true).once('connect', onConnect)
  socket.once('secureConnect', onSecure).once('error', onError).once('close', onClose)

  function kindOf({ code, syscall }: NodeJS.ErrnoException): ConnectFailureKind {
    if (isConnected) return 'tls'
    if (syscall === 'getaddrinfo') return 'dns'
    return code === 'ETIMEDOUT' ? 'connect_timeout' : 'connect_refused'
  }

  function settle(error?: Error): void {
    clearTimeout(timer)
    socket.off('connect', onConnect).off('secureConnect', onSecure).off('error', onError).off('close', onClose)
    // The caller destroys the socket next, which may emit a further error.
    if (error !== undefined) socket.on('error', () => undefined)
    callback(error)
  }
}

/** OpenSSL reports only a code; our own search can name the expired certificate, or the order of certificates that works. */
function explained(error: Error, socket: TLSSocket, { source, verifier }: PinnedConnectorOptions): Error {
  if (!(error instanceof ConnectError) || error.kind !== 'tls') return error
  const refusal = refusalOf(() => verifier.verify(socket, source.current()))
  if (!(refusal instanceof AppError) || refusal.code === 'client_certificate_required') return error
  return new ConnectError('tls', `${error.message}; ${refusal.message}`, { cause: error.cause })
}

function verifyPinned(socket: TLSSocket, { source, verifier, expected }: PinnedConnectorOptions): Peer {
  let peer: Peer
  try {
    peer = verifier.verify(socket, source.current())
  } catch (cause: unknown) {
    const { code, message } = cause as AppError
    throw new AppError('worker_failed', `the peer is not ${expected}: ${message}`, { cause, reasonCode: code })
  }
  if (peer.spiffeId === expected) return peer
  throw new AppError('worker_failed', `the peer is not ${expected}: it has another SPIFFE ID`, {
    cause: new Error(`the peer is ${peer.spiffeId}`),
    reasonCode: 'spiffe_id_unexpected',
  })
}

function refusalOf(check: () => void): Error | undefined {
  try {
    check()
    return undefined
  } catch (error: unknown) {
    return error as Error
  }
}

/** One TLS context per generation: our certificate, and only the bundle of the expected trust domain as `ca`. */
function contextPerGeneration(
  trustDomain: ReturnType<typeof trustDomainOf>,
): (credentials: Credentials) => SecureContext {
  let made: { readonly credentials: Credentials; readonly context: SecureContext } | undefined
  return (credentials) => {
    if (made?.credentials === credentials) return made.context
    const anchors = credentials.bundles.get(trustDomain) ?? []
    const { certPem: cert, keyPem: key } = credentials
    // An empty list trusts no peer; without a list Node would use its own public CAs.
    const ca = inOrderForOpenssl(anchors).map(String)
    // Every certificate of a bundle is an anchor, roots or not: see endPathsAtAnchors.
    const context = createSecureContext({ cert, key, ca, minVersion: 'TLSv1.3', allowPartialTrustChain: true })
    made = { credentials, context }
    return context
  }
}

/** Verifies a socket now, and again while it is open. Listens to the source only while there are sockets. */
function createSocketWatch(source: CredentialSource, verify: (socket: TLSSocket) => Peer, now: () => number) {
  const open = new Map<TLSSocket, NodeJS.Timeout>()
  let unsubscribe: (() => void) | undefined

  function recheck(socket: TLSSocket): void {
    const refused = refusalOf(() => arm(socket))
    if (refused !== undefined) socket.destroy(refused)
  }

  function arm(socket: TLSSocket): void {
    const { notAfterMs } = verify(socket)
    clearTimeout(open.get(socket))
    const leftMs = Math.min(Math.max(notAfterMs - now(), 1), MAX_TIMER_MS)
    open.set(socket, setTimeout(recheck, leftMs, socket).unref())
  }

  function forget(socket: TLSSocket): void {
    clearTimeout(open.get(socket))
    open.delete(socket)
    if (open.size > 0) return
    unsubscribe?.()
    unsubscribe = undefined
  }

  return (socket: TLSSocket): void => {
    arm(socket)
    socket.once('close', () => forget(socket))
    unsubscribe ??= source.onChange(() => [...open.keys()].forEach(recheck))
  }
}
