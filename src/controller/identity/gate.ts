// On the path of every call. The identity gate: no request passes it without a verified SPIFFE ID. It runs before 404s, body
// parsing and route handlers, because `onRequest` is the first hook and `fp` applies it to the whole server.
import { TLSSocket } from 'node:tls'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError, toAppError } from '../../core/errors.ts'
import { createConnectionIdentity, type ConnectionIdentityOptions } from '../../platform/tls/connection-identity.ts'
import type { ConnectionsHeld } from './connections-held.ts'
import type { Peer } from '../../platform/svid/verify.ts'

declare module 'fastify' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- augmentation needs an interface
  interface FastifyRequest {
    /** The verified caller. The identity gate sets it; it is missing only while a refusal of the gate is handled. */
    peer: Peer
  }
}

type IdentityGateOptions = ConnectionIdentityOptions & {
  readonly connections: ConnectionsHeld
}

/** The peer that the gate verified; undefined only while a refusal of the gate is handled. */
export function peerOf(request: FastifyRequest): Peer | undefined {
  return (request as { peer: Peer | null }).peer ?? undefined
}

/** Sets `request.peer`, or refuses with an AppError, of status 401 or `overloaded`, and closes the connection. */
const gate: FastifyPluginCallback<IdentityGateOptions> = (app, options, done) => {
  const { connections } = options
  const identify = createConnectionIdentity(options)
  app.decorateRequest('peer', null as unknown as Peer)
  app.addHook('onRequest', (request, reply, next) => next(refusalOf(request, reply)))
  done()

  function refusalOf(request: FastifyRequest, reply: FastifyReply): AppError | undefined {
    try {
      const { socket } = request.raw
      // Not TLS at all: a wiring mistake must not let anyone pass.
      if (!(socket instanceof TLSSocket)) throw new AppError('client_certificate_required')
      const { peer, retire, isNew } = identify(socket)
      request.peer = peer
      if (isNew) connections.take(socket, peer.spiffeId)
      else connections.check(socket)
      if (retire) reply.raw.shouldKeepAlive = false
      return undefined
    } catch (cause: unknown) {
      reply.raw.shouldKeepAlive = false
      return toAppError(cause, 'internal_error')
    }
  }
}

export const identityGate = fp(gate, { name: 'identity-gate', fastify: '5.x' })
