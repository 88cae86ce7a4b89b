// Outgoing connections that are opened only to one SPIFFE ID. Every new socket is verified by us: there is no session cache,
// and no host name in an SVID for Node to check.
import { isIP } from 'node:net'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { AppError } from '../core/errors.ts'
import { trustDomainOf, type SpiffeId } from '../core/spiffe-id.ts'
import type { Credentials, CredentialSource } from './credentials.ts'
import { keepEarlyAnswers } from './early-answer.ts'
import type { Peer, PeerVerifier } from './peer.ts'

export type PinnedConnectorOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  /** The only identity the other end may show. */
  readonly expected: SpiffeId
  /** For TCP and TLS together. */
  readonly timeoutMs?: number
  readonly now?: () => number
}

const TIMEOUT_MS = 5000
const MAX_TIMER_MS = 2_147_483_647
const ALPN = ['http/1.1']

/**
 * A `connect` function for undici. Fails with AppError `worker_failed` (`reasonCode`: the identity code) when the peer is not
 * `expected`, before a byte of a request is sent. An open socket ends as soon as its peer no longer verifies: at once
 * when the trust changes, and when a certificate on its path expires.
 */
export function createPinnedConnector(options: PinnedConnectorOptions): buildConnector.connector {
  const { source, timeoutMs = TIMEOUT_MS, now = Date.now } = options
  const contextFor = contextPerGeneration(trustDomainOf(options.expected))
  const watch = createSocketWatch(source, (socket) => verifyPinned(socket, options), now)
  return ({ hostname, port, servername }, callback) => {
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const socket = connect({
      host,
      port: port === '' ? 443 : Number(port),
      servername: servername ?? (isIP(host) === 0 ? host : ''),
      secureContext: contextFor(source.current()),
      rejectUnauthorized: true,
      // Not a weakening: an SVID names no host. The SPIFFE ID is checked below, on every socket.
      checkServerIdentity: () => undefined,
      ALPNProtocols: ALPN,
    })
    settleOnce(socket, timeoutMs, (error) => {
      const refused = error ?? refusalOf(() => watch(socket))
      if (refused !== undefined) socket.destroy()
      if (refused === undefined) callback(null, keepEarlyAnswers(socket))
      else callback(refused, null)
    })
  }
}

/** Calls back once: without an error when TLS is up, with one when it failed, ended or took too long. */
function settleOnce(socket: TLSSocket, timeoutMs: number, callback: (error?: Error) => void): void {
  const timer = setTimeout(() => settle(new Error(`no TLS connection within ${timeoutMs} ms`)), timeoutMs)
  const onSecure = (): void => settle()
  const onError = (error: Error): void => settle(error)
  const onClose = (): void => settle(new Error('the connection ended before TLS was up'))
  socket.setNoDelay(true).once('secureConnect', onSecure).once('error', onError).once('close', onClose)

  function settle(error?: Error): void {
    clearTimeout(timer)
    socket.off('secureConnect', onSecure).off('error', onError).off('close', onClose)
    // The socket is destroyed by us next, and may still report why.
    if (error !== undefined) socket.on('error', () => undefined)
    callback(error)
  }
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
  throw new AppError('worker_failed', `the peer is not ${expected}: it shows another SPIFFE ID`, {
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

/** One TLS context for each generation: own certificate, and only the bundle of the expected trust domain as `ca`. */
function contextPerGeneration(
  trustDomain: ReturnType<typeof trustDomainOf>,
): (credentials: Credentials) => SecureContext {
  let made: { readonly credentials: Credentials; readonly context: SecureContext } | undefined
  return (credentials) => {
    if (made?.credentials === credentials) return made.context
    const anchors = credentials.bundles.get(trustDomain) ?? []
    const { certPem: cert, keyPem: key } = credentials
    // An empty list trusts nobody; left out it would be Node's own list of public CAs.
    const context = createSecureContext({ cert, key, ca: anchors.map(String), minVersion: 'TLSv1.3' })
    made = { credentials, context }
    return context
  }
}

/** Verifies a socket now and again for as long as it is open. Listens to the source only while there are sockets. */
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
