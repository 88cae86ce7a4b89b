// On the path of every call. The one gate: no request gets past it without a verified SPIFFE ID. It stands before routing's
// 404s, body parsing and error handlers, because `onRequest` is the first hook and `fp` puts it on the whole server.
import { TLSSocket } from 'node:tls'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError, toAppError } from '../../core/errors.ts'
import { createConnectionIdentity, type ConnectionIdentityOptions } from '../../platform/tls/connection-identity.ts'
import type { Peer } from '../../platform/svid/verify.ts'

declare module 'fastify' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- augmentation needs an interface
  interface FastifyRequest {
    /** Who is calling. Set by the identity gate: only its own refusals are handled before it is there. */
    peer: Peer
  }
}

type IdentityGateOptions = ConnectionIdentityOptions

/** The peer where the gate has let it pass; undefined only while its refusal is handled. */
export function peerOf(request: FastifyRequest): Peer | undefined {
  return (request as { peer: Peer | null }).peer ?? undefined
}

/** Refuses with an AppError of status 401 and closes the connection; else sets `request.peer`. */
const gate: FastifyPluginCallback<IdentityGateOptions> = (app, options, done) => {
  const identify = createConnectionIdentity(options)
  app.decorateRequest('peer', null as unknown as Peer)
  app.addHook('onRequest', (request, reply, next) => next(refusalOf(request, reply)))
  done()

  function refusalOf(request: FastifyRequest, reply: FastifyReply): AppError | undefined {
    try {
      const { socket } = request.raw
      // Not TLS at all: a mistake in the wiring must not become an open door.
      if (!(socket instanceof TLSSocket)) throw new AppError('client_certificate_required')
      const { peer, retire } = identify(socket)
      request.peer = peer
      if (retire) reply.raw.shouldKeepAlive = false
      return undefined
    } catch (cause: unknown) {
      reply.raw.shouldKeepAlive = false
      return toAppError(cause, 'internal_error')
    }
  }
}

export const identityGate = fp(gate, { name: 'identity-gate', fastify: '5.x' })
