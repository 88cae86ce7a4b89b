// Connections that have not carried a request yet. Node counts the time for the headers of a request from the moment a
// connection is open, so that a pool which opens its connections ahead would lose them; here a verified peer that is merely
// idle keeps its connection as long as one between two requests.
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { ConnectionsHeld } from '../identity/connections-held.ts'

type UnusedConnections = {
  /** Call it before the server listens. */
  readonly watch: (server: Server) => void
  /**
   * The time for headers is over. True: no byte of a request has come, and the peer is verified, so that it keeps its connection
   * for the rest of the keep-alive time; the time for headers begins again with the first byte.
   * @throws {AppError} the refusals of `identify`, and `overloaded`: the peer holds too many connections
   */
  readonly keep: (socket: Socket) => boolean
  /** Ends those that are idle: Node's `closeIdleConnections` ends only connections that have been used. */
  readonly close: () => void
}

type UnusedOptions = {
  readonly identify: (socket: TLSSocket) => SpiffeId
  /** A connection that is kept counts for its identity like a used one. */
  readonly connections: Pick<ConnectionsHeld, 'take'>
  /** Between the end of the time for headers and that of the keep-alive time. */
  readonly restMs: number
}

export function createUnusedConnections({ identify, connections, restMs }: UnusedOptions): UnusedConnections {
  const unused = new Set<Socket>()
  const kept = new WeakSet<Socket>()
  const isIdle = (socket: Socket): boolean => unused.has(socket) && socket.bytesRead === 0

  return {
    watch(server) {
      server.on('secureConnection', (socket) => {
        unused.add(socket)
        socket.once('close', () => unused.delete(socket))
      })
      server.on('request', ({ socket }) => {
        // Node's own limits apply from here on.
        if (unused.delete(socket) && kept.has(socket)) socket.setTimeout(0)
      })
    },
    keep(socket) {
      if (!isIdle(socket) || !(socket instanceof TLSSocket)) return false
      connections.take(socket, identify(socket))
      kept.add(socket)
      // Node's server destroys a socket at its timeout, as it does at the end of the keep-alive time.
      socket.setTimeout(restMs)
      return true
    },
    close() {
      for (const socket of unused) if (isIdle(socket)) socket.destroy()
    },
  }
}
