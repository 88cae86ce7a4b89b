// Applies changed credentials to a TLS server: new handshakes use the new set, and connections that it no longer trusts end.
import type { Server, TLSSocket } from 'node:tls'
import type { CredentialSource, Credentials } from './credentials.ts'
import type { EventLog } from '../logger.ts'
import type { PeerVerifier } from '../svid/verify.ts'
import { keepPresentedChains } from '../svid/presented-chain.ts'
import { endPathsAtAnchors, serverContextOptions } from './tls.ts'

export type ConnectionKeeper = {
  /** Number of open connections that have finished their handshake. */
  readonly count: () => number
  /** Stops following the credentials; leaves connections open. */
  readonly close: () => void
}

type ConnectionKeeperOptions = {
  readonly server: Server
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  readonly log: EventLog
}

/** Call it before the server listens. A connection whose peer no longer verifies is destroyed in the same tick as the change. */
export function createConnectionKeeper({ server, source, verifier, log }: ConnectionKeeperOptions): ConnectionKeeper {
  const open = new Set<TLSSocket>()
  keepPresentedChains(server)
  endPathsAtAnchors(server)
  server.on('secureConnection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  const unsubscribe = source.onChange((next) => {
    server.setSecureContext(serverContextOptions(next))
    endPathsAtAnchors(server)
    const refused = [...open].filter((socket) => !isTrusted(socket, next))
    for (const socket of refused) socket.destroy()
    const counts = { generation: next.generation, ended: refused.length, kept: open.size - refused.length }
    log.info({ event: 'connections_rechecked', ...counts }, 'open connections were checked against the new credentials')
  })

  function isTrusted(socket: TLSSocket, credentials: Credentials): boolean {
    try {
      verifier.verify(socket, credentials)
      return true
    } catch {
      return false
    }
  }

  return { count: () => open.size, close: unsubscribe }
}
