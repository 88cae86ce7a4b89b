// On the path of every call. The peer of a server's connection: verified once, and then cheap to look up for every request.
import type { TLSSocket } from 'node:tls'
import type { CredentialSource } from './credentials.ts'
import type { Peer, PeerVerifier } from '../svid/verify.ts'

/** `retire`: answer with `connection: close`, so that the peer reconnects before a certificate of this connection expires. */
type ConnectionIdentity = { readonly peer: Peer; readonly retire: boolean }

export type ConnectionIdentityOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  readonly now: () => number
}

// Fractions of the validity left when the connection was opened; the spread keeps peers from reconnecting all at once.
const RETIRE_AFTER = 0.8
const RETIRE_SPREAD = 0.1

type Known = { readonly peer: Peer; readonly retireAtMs: number }

/**
 * Returns a function that identifies the peer of a connection. It verifies again when the credentials have changed, or when
 * the certificate is outside its validity. The returned function throws the AppErrors of `PeerVerifier.verify`.
 */
export function createConnectionIdentity(
  options: ConnectionIdentityOptions,
): (socket: TLSSocket) => ConnectionIdentity {
  const { source, verifier, now } = options
  const connections = new WeakMap<TLSSocket, Known>()
  return (socket) => {
    const credentials = source.current()
    const nowMs = now()
    let known = connections.get(socket)
    if (known === undefined || !isCurrent(known.peer, credentials.generation, nowMs)) {
      const peer = verifier.verify(socket, credentials)
      known = { peer, retireAtMs: known?.retireAtMs ?? retireAtMs(socket, peer, credentials.notAfterMs, nowMs) }
      connections.set(socket, known)
    }
    return { peer: known.peer, retire: nowMs >= known.retireAtMs }
  }
}

function isCurrent({ generation, notBeforeMs, notAfterMs }: Peer, currentGeneration: number, nowMs: number): boolean {
  return generation === currentGeneration && nowMs >= notBeforeMs && nowMs < notAfterMs
}

/** Our own certificate counts too: the connection keeps the one of its handshake, even after it was replaced. */
function retireAtMs(socket: TLSSocket, peer: Peer, ownNotAfterMs: number, nowMs: number): number {
  const leftMs = Math.min(peer.notAfterMs, ownNotAfterMs) - nowMs
  const spread = ((socket.remotePort ?? 0) % 64) / 64
  return nowMs + leftMs * (RETIRE_AFTER + RETIRE_SPREAD * spread)
}
