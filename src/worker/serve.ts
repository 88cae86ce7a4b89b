// The worker's HTTPS server. It accepts one peer, the controller, and has two routes: POST /execute and GET /health.
import { Readable } from 'node:stream'
import type { Server, TLSSocket } from 'node:tls'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { toAppError } from '../core/errors.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { createConnectionIdentity } from '../platform/tls/connection-identity.ts'
import { createConnectionKeeper } from '../platform/tls/connection-keeper.ts'
import type { CredentialSource } from '../platform/tls/credentials.ts'
import { CALLER_LINGER, lingerAfterAnswer } from '../platform/tls/lingering-close.ts'
import type { Logger } from '../platform/logger.ts'
import type { PeerVerifier } from '../platform/svid/verify.ts'
import { serverTlsOptions } from '../platform/tls/tls.ts'
import { failureAnswer, jsonAnswer, toFailure, type Answer } from './answer.ts'
import { RuntimeError } from './call-error.ts'
import { idsIn } from './call-headers.ts'
import type { Execute } from './execute.ts'

/** GET /health */
export type Health = {
  readonly status: 'ok' | 'draining'
  readonly worker_id: string
  readonly capabilities: readonly string[]
  readonly in_flight: number
  readonly registered: boolean
  readonly log_lines_dropped: number
}

type ServerOptions = {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  readonly controllerId: SpiffeId
  readonly execute: Execute
  readonly health: () => Health
  readonly log: Logger
  readonly now: () => number
}

const HEADERS_TIMEOUT_MS = 5_000
// Above the controller's, so that the side that sends requests closes idle connections.
const KEEP_ALIVE_MS = 72_000

/**
 * Builds the server; `listen` and `close` are Fastify's. Certificates are replaced while it runs when their files
 * change.
 */
export function createWorkerServer(options: ServerOptions): FastifyInstance {
  const { source, execute, health } = options
  const app = Fastify({
    https: { ...serverTlsOptions(source.current(), { refuseUnverified: true }), headersTimeout: HEADERS_TIMEOUT_MS },
    keepAliveTimeout: KEEP_ALIVE_MS,
    logger: false,
  }) as unknown as FastifyInstance
  const keeper = createConnectionKeeper({ server: app.server as unknown as Server, ...options })
  app.addHook('onClose', (_app, done) => {
    keeper.close()
    done()
  })
  const refusalOf = createGate(options)
  app.addHook('onRequest', (request, reply, done) => done(refusalOf(request, reply)))
  // The call reads the body: as JSON with a limit, or as a stream of bytes.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.post('/execute', async (request, reply) => send(reply, await execute(callOf(request, reply))))
  app.get('/health', (_request, reply) => send(reply, jsonAnswer(200, health())))
  app.setNotFoundHandler((_request, reply) => send(reply, notFound()))
  // Handles only requests that never became a call, such as those of a refused peer: their connection is closed.
  app.setErrorHandler((error, _request, reply) =>
    send(reply.header('connection', 'close'), failureAnswer(toFailure(error, undefined))),
  )
  return app
}

function callOf(request: FastifyRequest, reply: FastifyReply) {
  const left = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) left.abort()
  })
  return { headers: request.headers, body: request.raw, callerLeft: left.signal }
}

/** Accepts only the controller. TLS accepts every peer of the bundle; the identity is checked here. */
function createGate(options: ServerOptions) {
  const { controllerId, log } = options
  const identify = createConnectionIdentity(options)
  return (request: FastifyRequest, reply: FastifyReply): RuntimeError | undefined => {
    const refused = (why: object): void => {
      log.warn(
        { event: 'peer_refused', ...idsIn(request.headers), ...why },
        'a peer that is not the controller was refused',
      )
    }
    try {
      const { peer, retire } = identify(request.raw.socket as unknown as TLSSocket)
      if (retire) void reply.header('connection', 'close')
      if (peer.spiffeId === controllerId) return undefined
      refused({ peer: peer.spiffeId })
    } catch (error: unknown) {
      refused({ error: toAppError(error, 'internal_error').code })
    }
    return new RuntimeError('NOT_CONTROLLER', 'only the controller may call a worker')
  }
}

function notFound(): Answer {
  return failureAnswer(
    toFailure(new RuntimeError('NOT_FOUND', 'no such route: a worker has POST /execute and GET /health'), undefined),
  )
}

function send(reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  const { raw } = reply.request
  // Answered before its body was read: a caller that still sends it can read the answer.
  if (!raw.complete && !(body instanceof Readable)) {
    void reply.header('connection', 'close')
    lingerAfterAnswer(raw, CALLER_LINGER)
  }
  return reply.code(status).headers(headers).send(body)
}
