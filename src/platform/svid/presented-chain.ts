// The certificates that a peer presented, leaf first. Node returns them only once: every getPeerX509Certificate() takes the
// chain out of the TLS session, and since 24.21 (nodejs/node#65579) a server does so itself before 'secureConnection'.
import type { X509Certificate } from 'node:crypto'
import type { Server, TLSSocket } from 'node:tls'

/** How many presented certificates we read at most; SPIRE's deepest nesting needs four. */
export const MAX_PRESENTED = 8

const leaves = new WeakMap<TLSSocket, X509Certificate>()

/**
 * Saves the presented chain of every connection of a server before Node discards it. Call it once, before `listen`; without
 * it a client certificate below an intermediate CA is refused as untrusted.
 */
export function keepPresentedChains(server: Server): void {
  // 'keylog' is the only event that gives us the TLSSocket before the handshake ends; the line (key material) is ignored.
  const waiting = new WeakSet<TLSSocket>()
  server.on('keylog', (_line, socket) => {
    if (waiting.has(socket)) return
    waiting.add(socket)
    socket.prependOnceListener('secure', () => presentedLeaf(socket))
  })
}

/** The peer's own certificate, or undefined when it presented none. */
export function presentedLeaf(socket: TLSSocket): X509Certificate | undefined {
  const saved = leaves.get(socket)
  if (saved !== undefined) return saved
  const leaf = socket.getPeerX509Certificate()
  if (leaf !== undefined) leaves.set(socket, leaf)
  return leaf
}

/** The certificates that came with a leaf, in the order in which the peer sent them. */
export function presentedIssuers(leaf: X509Certificate): X509Certificate[] {
  const issuers: X509Certificate[] = []
  for (let next = leaf.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    if (issuers.push(next) === MAX_PRESENTED) break
  }
  return issuers
}
