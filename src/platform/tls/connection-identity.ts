// On the path of every call. The peer of a server's connection: verified once, cheap to ask again for every request.
import type { TLSSocket } from 'node:tls'
import type { CredentialSource } from './credentials.ts'
import type { Peer, PeerVerifier } from '../svid/verify.ts'

/** `retire`: answer with `connection: close`, so that the peer opens a new one before a certificate of this one expires. */
type ConnectionIdentity = { readonly peer: Peer; readonly retire: boolean }

export type ConnectionIdentityOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  readonly now: () => number
}

// Part of the time left when the connection was opened; the spread keeps peers from coming back all at once.
const RETIRE_AFTER = 0.8
const RETIRE_SPREAD = 0.1

type Known = { readonly peer: Peer; readonly retireAtMs: number }

/**
 * A function that says who is on a connection. It verifies again when the trust has changed since, or the certificate has
 * left its validity. @throws {AppError} of the returned function: the identity codes of `PeerVerifier.verify`
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

/** The own certificate counts too: it is the one of the handshake, whatever has been swapped in since. */
function retireAtMs(socket: TLSSocket, peer: Peer, ownNotAfterMs: number, nowMs: number): number {
  const leftMs = Math.min(peer.notAfterMs, ownNotAfterMs) - nowMs
  const spread = ((socket.remotePort ?? 0) % 64) / 64
  return nowMs + leftMs * (RETIRE_AFTER + RETIRE_SPREAD * spread)
}
