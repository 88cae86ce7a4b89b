// On the path of every call. The peer of a server's connection: verified once, and then cheap to look up for every request.
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Credentials, CredentialSource } from './credentials.ts'
import type { Peer, PeerVerifier } from '../svid/verify.ts'

/**
 * `retire`: answer with `connection: close`, so that the peer reconnects before a certificate of this connection expires, and
 * soon after our own was replaced: the CA of the old one may be removed next, and would take the connection with it.
 */
type ConnectionIdentity = {
  readonly peer: Peer
  readonly retire: boolean
  /** The peer was identified for the first time on this connection. */
  readonly isNew: boolean
}

export type ConnectionIdentityOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  readonly now: () => number
}

// Fractions of the validity left when the connection was opened; the spread keeps peers from reconnecting all at once.
const RETIRE_AFTER = 0.8
const RETIRE_SPREAD = 0.1
/** After our own certificate was replaced, connections with the old one are retired within this time. */
const RENEW_WITHIN_MS = 2000

/** `certPem`: our own certificate in the handshake; undefined if it had been replaced before the first request. */
type Known = { readonly peer: Peer; readonly retireAtMs: number; readonly certPem: string | undefined }

/**
 * Returns a function that identifies the peer of a connection. It verifies again when the credentials have changed, or when
 * the certificate is outside its validity. The returned function throws the AppErrors of `PeerVerifier.verify`.
 */
export function createConnectionIdentity(
  options: ConnectionIdentityOptions,
): (socket: TLSSocket) => ConnectionIdentity {
  const { source, verifier, now } = options
  const connections = new WeakMap<TLSSocket, Known>()
  const ownOf = ownCertificates()

  function verified(socket: TLSSocket, credentials: Credentials, nowMs: number, before: Known | undefined): Known {
    const peer = verifier.verify(socket, credentials)
    const certPem = before === undefined ? shownTo(socket, credentials) : before.certPem
    const retireAtMs = before?.retireAtMs ?? expiryRetireMs(socket, peer, credentials.notAfterMs, nowMs)
    const renewAtMs = certPem === credentials.certPem ? Infinity : nowMs + RENEW_WITHIN_MS * spreadOf(socket)
    return { peer, certPem, retireAtMs: Math.min(retireAtMs, renewAtMs) }
  }

  /** A certificate can only be an old one if there was an old one. */
  function shownTo(socket: TLSSocket, credentials: Credentials): string | undefined {
    if (credentials.generation === 1) return credentials.certPem
    const shown = socket.getX509Certificate()
    return shown !== undefined && ownOf(credentials).equals(shown.raw) ? credentials.certPem : undefined
  }

  return (socket) => {
    const credentials = source.current()
    const nowMs = now()
    const before = connections.get(socket)
    let known = before
    if (known === undefined || !isCurrent(known.peer, credentials.generation, nowMs)) {
      known = verified(socket, credentials, nowMs, known)
      connections.set(socket, known)
    }
    return { peer: known.peer, retire: nowMs >= known.retireAtMs, isNew: before === undefined }
  }
}

function isCurrent({ generation, notBeforeMs, notAfterMs }: Peer, currentGeneration: number, nowMs: number): boolean {
  return generation === currentGeneration && nowMs >= notBeforeMs && nowMs < notAfterMs
}

/** Our own certificate counts too: the connection keeps the one of its handshake, even after it was replaced. */
function expiryRetireMs(socket: TLSSocket, peer: Peer, ownNotAfterMs: number, nowMs: number): number {
  const leftMs = Math.min(peer.notAfterMs, ownNotAfterMs) - nowMs
  return nowMs + leftMs * (RETIRE_AFTER + RETIRE_SPREAD * spreadOf(socket))
}

/** From 0 to below 1, the same for all requests of a connection. */
function spreadOf({ remotePort = 0 }: TLSSocket): number {
  return (remotePort % 64) / 64
}

/** The DER of our own certificate, parsed once per snapshot. */
function ownCertificates(): (credentials: Credentials) => Buffer {
  let last: { readonly certPem: string; readonly raw: Buffer } | undefined
  return ({ certPem }) => {
    if (last?.certPem !== certPem) last = { certPem, raw: new X509Certificate(certPem).raw }
    return last.raw
  }
}
