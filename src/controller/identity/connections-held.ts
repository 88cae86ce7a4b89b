// How many connections each identity holds: one alone must not take those of all. Counted after verification, since before it
// nobody knows whose a connection is.
import type { Socket } from 'node:net'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'

export type ConnectionsHeld = {
  /** Counts a connection once, until it closes. @throws {AppError} `overloaded`: its identity holds too many already */
  readonly take: (socket: Socket, owner: SpiffeId) => void
  /** For further requests on a connection that `take` refused. @throws {AppError} `overloaded` */
  readonly check: (socket: Socket) => void
}

export function createConnectionsHeld({
  max,
  onIdentified,
  onRefused,
}: {
  /** Per identity. */
  readonly max: number
  /** Once per connection: its peer has an identity. */
  readonly onIdentified: () => void
  readonly onRefused: () => void
}): ConnectionsHeld {
  const held = new Map<SpiffeId, number>()
  const refused = new Set<Socket>()
  const counted = new WeakSet<Socket>()

  return {
    take(socket, owner) {
      if (counted.has(socket)) return
      onIdentified()
      const count = held.get(owner) ?? 0
      if (count >= max) {
        refused.add(socket)
        socket.once('close', () => refused.delete(socket))
        onRefused()
        throw tooMany(max)
      }
      counted.add(socket)
      held.set(owner, count + 1)
      socket.once('close', () => {
        const left = (held.get(owner) ?? 1) - 1
        if (left === 0) held.delete(owner)
        else held.set(owner, left)
      })
    },
    check(socket) {
      if (refused.size > 0 && refused.has(socket)) throw tooMany(max)
    },
  }
}

function tooMany(max: number): AppError {
  return new AppError('overloaded', `this identity holds ${max} connections, its part of all; use those, or close some`)
}
