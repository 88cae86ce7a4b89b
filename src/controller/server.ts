// The mTLS listener: limits, gate, error handler, scopes. Order of registration is the order of a request.
import swagger from '@fastify/swagger'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import { AppError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { Credentials } from '../platform/credentials.ts'
import { serverTlsOptions } from '../platform/tls.ts'
import { VERSION } from '../platform/version.ts'
import { arrival, type ArrivalOptions } from './arrival.ts'
import { blockedGate, type BlockedGateOptions } from './identity/blocked-gate.ts'
import { identityGate, peerOf, type IdentityGateOptions } from './identity/gate.ts'
import { isReadablePath, limits, type LimitsOptions } from './limits.ts'
import type { ConnectionRefusal } from './metrics.ts'
import { appErrorOf, problemOf } from './problem.ts'
import { createBodiesInFlight, MAX_BODY_BYTES } from './routes/bodies-in-flight.ts'
import { catalogRoutes, type CatalogRoutesOptions } from './routes/catalog.ts'
import { registrationRoutes, type RegistrationRoutesOptions } from './routes/registration.ts'
import { routeJson, routeRaw, type RouteRoutesOptions } from './routes/route.ts'

export type ServerOptions = ArrivalOptions &
  LimitsOptions &
  BlockedGateOptions &
  Omit<RouteRoutesOptions & RegistrationRoutesOptions, 'bodies'> &
  CatalogRoutesOptions & {
    readonly credentials: Credentials
    readonly gate: IdentityGateOptions
    readonly tlsRefuseUnverified: boolean
    readonly maxConnections: number
    readonly now: () => number
    readonly fastifyOtel: FastifyOtelInstrumentation | undefined
    /** Told of every refusal that no step of the pipeline has recorded, and of every internal error. */
    readonly onRefused: (request: FastifyRequest, error: AppError) => void
    /** A connection that never brought a request: too many, no TLS, too slow, or not HTTP. */
    readonly onConnectionRefused: (reason: ConnectionRefusal) => void
  }

const HEADERS_TIMEOUT_MS = 5000
const KEEP_ALIVE_MS = 30_000
const CHECK_CONNECTIONS_MS = 500
const LINGER_MS = 1000

export type MtlsServer = FastifyInstance<Server>

/** Builds the server; the caller listens on it. */
export async function createServer(options: ServerOptions): Promise<MtlsServer> {
  /** Connections with a request that is not answered yet. */
  const answering = new WeakSet<Socket>()
  const app = Fastify({
    https: {
      ...serverTlsOptions(options.credentials, { refuseUnverified: options.tlsRefuseUnverified }),
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      insecureHTTPParser: false,
      // Checked in `limits`, behind the gate; Node would answer before it.
      requireHostHeader: false,
      maxHeaderSize: 16 * 1024,
    },
    genReqId: () => uuidv7(options.now()),
    requestIdHeader: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Bodies have limits of their own: 10 s in all for JSON, an idle limit for the raw form.
    requestTimeout: 0,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
    clientErrorHandler: (error, socket) => {
      options.onConnectionRefused(refusalOf(error.code))
      answerClientError(error, socket, answering.has(socket))
    },
    // An unreadable path would be answered before any hook; this way the gate sees it first, then `limits` refuses it.
    rewriteUrl: ({ url = '' }) => (isReadablePath(url) ? url : '/'),
  })
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  app.server.maxConnections = options.maxConnections
  app.server.on('drop', () => {
    options.onConnectionRefused('over_limit')
  })
  // Node would answer an `Expect` that it does not know by itself, in front of the gate.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  app.server.on('request', (request, response) => {
    answering.add(request.socket)
    response.once('close', () => answering.delete(request.socket))
  })
  // In front of @fastify/otel, which would make a span of an error out of this answer; the hooks below come before it.
  app.setNotFoundHandler((request) => {
    throw new AppError('not_found', `no route ${request.method} ${request.url.split('?')[0]?.slice(0, 128) ?? ''}`)
  })
  if (options.fastifyOtel !== undefined) await app.register(options.fastifyOtel.plugin())
  setErrorHandler(app, options.onRefused)
  await app.register(arrival, options)
  await app.register(identityGate, options.gate)
  await app.register(blockedGate, options)
  await app.register(limits, options)
  // Collects the routes' schemas; the document is served by the admin listener.
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'Crank controller', version: VERSION } } })
  const bodies = createBodiesInFlight({ maxBytes: Math.max(MAX_BODY_BYTES, options.bodyLimitBytes) })
  await app.register(routeJson, { ...options, bodies })
  await app.register(routeRaw, { ...options, bodies })
  await app.register(registrationRoutes, { ...options, bodies })
  await app.register(catalogRoutes, options)
  return app
}

function setErrorHandler(app: MtlsServer, onRefused: ServerOptions['onRefused']): void {
  app.setErrorHandler<FastifyError | AppError>(async (thrown, request, reply) => {
    const error = appErrorOf(thrown)
    request.arrival.error = error.code
    if (!request.arrival.decided || error.code === 'internal_error') onRefused(request, error)
    const { retryAfterS } = error.kind
    if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS)
    // The rest of an unread body would have to be read to keep the connection: refuse it instead.
    if (hasBody(request) && !request.raw.complete) reply.raw.shouldKeepAlive = false
    // Fastify closes after every body that its parser refuses, read or not; a new handshake costs more than such a refusal.
    else reply.removeHeader('connection')
    const problem = problemOf(error, {
      decisionId: request.id,
      traceId: request.arrival.trace.traceId,
      requester: peerOf(request)?.spiffeId,
      capability: request.arrival.capability,
    })
    return reply.code(error.kind.status).type('application/problem+json').send(problem)
  })
}

/** One that has none is complete only after the hooks. */
function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

type ClientError = Error & { code: string }
const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

function refusalOf(code: string): ConnectionRefusal {
  if (/^ERR_(TLS|SSL|OSSL)_/.test(code)) return 'tls'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'too_slow'
  return code === 'ECONNRESET' ? 'reset' : 'malformed'
}

/** Bytes that are not a request: a short answer without ids, then the connection ends; none where TLS never came about. */
function answerClientError({ code }: ClientError, socket: Socket, isAnswering: boolean): void {
  // In the middle of an answer these bytes would be read as its body.
  if (isAnswering || !socket.writable || code === 'ECONNRESET' || /^ERR_(TLS|SSL|OSSL)_/.test(code)) {
    socket.destroy()
    return
  }
  socket.end(`HTTP/1.1 ${CLIENT_ERRORS[code] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  // Time to read the answer, but not to keep the connection by never closing it.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}
