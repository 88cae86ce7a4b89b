// On the path of every call. The mTLS listener: limits, gate, error handler, scopes. Order of registration is the order of a
// request.
import swagger from '@fastify/swagger'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import { AppError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { Credentials } from '../platform/tls/credentials.ts'
import { CALLER_LINGER, lingerAfterAnswer, STRANGER_LINGER } from '../platform/tls/lingering-close.ts'
import { serverTlsOptions } from '../platform/tls/tls.ts'
import { HEADERS } from '../core/wire.ts'
import { VERSION } from '../platform/version.ts'
import type { Refused } from './call.ts'
import { arrival, type ArrivalOptions } from './edge/arrival.ts'
import { blockedGate, type BlockedGateOptions } from './identity/blocked-gate.ts'
import { identityGate, peerOf } from './identity/gate.ts'
import { isReadablePath, limits, type LimitsOptions } from './edge/limits.ts'
import { appErrorOf, problemOf } from './edge/problem.ts'
import { createBodiesInFlight, MAX_BODY_BYTES } from './routes/bodies-in-flight.ts'
import { catalogRoutes, type CatalogRoutesOptions } from './routes/catalog.ts'
import { holdContinue } from './routes/expectation.ts'
import { registrationRoutes, type RegistrationRoutesOptions } from './routes/registration.ts'
import { routeJson, routeRaw, type RouteRoutesOptions } from './routes/route.ts'
import { createUnparsed, type UnparsedOptions } from './edge/unparsed.ts'
import { isRecorded } from './steps/recorded.ts'
import { unrouted } from './edge/unrouted.ts'

type ServerOptions = ArrivalOptions &
  LimitsOptions &
  UnparsedOptions &
  BlockedGateOptions &
  Omit<RouteRoutesOptions & RegistrationRoutesOptions, 'bodies'> &
  CatalogRoutesOptions & {
    readonly credentials: Credentials
    readonly tlsRefuseUnverified: boolean
    readonly maxConnections: number
    readonly fastifyOtel: FastifyOtelInstrumentation | undefined
    /** Told of every refusal that no step of the pipeline has recorded, and of every internal error. */
    readonly onRefused: (refused: Refused, error: AppError) => void
  }

const MAX_HEADER_BYTES = 16 * 1024
const HEADERS_TIMEOUT_MS = 5000
const KEEP_ALIVE_MS = 30_000
const CHECK_CONNECTIONS_MS = 500

export type MtlsServer = FastifyInstance<Server>

/** Builds the server; the caller listens on it. */
export async function createServer(options: ServerOptions): Promise<MtlsServer> {
  const unparsed = createUnparsed(options)
  const app = Fastify({
    https: {
      ...serverTlsOptions(options.credentials, { refuseUnverified: options.tlsRefuseUnverified }),
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      insecureHTTPParser: false,
      // Checked in `limits`, behind the gate; Node would answer before it.
      requireHostHeader: false,
      maxHeaderSize: MAX_HEADER_BYTES,
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
    clientErrorHandler: unparsed.onClientError,
    frameworkErrors: (error, { raw }) => {
      unparsed.refuse(raw.socket, appErrorOf(error))
    },
    // No parameter is too long for the router, which would answer before any hook: `limits` refuses it.
    routerOptions: { maxParamLength: MAX_HEADER_BYTES },
    // An unreadable path would be answered before any hook; this way the gate sees it first, then `limits` refuses it.
    rewriteUrl: ({ url = '' }) => (isReadablePath(url) ? url : '/'),
  })
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  app.server.maxConnections = options.maxConnections
  app.server.on('drop', () => {
    options.metrics.connectionRefused('over_limit')
  })
  // Node would answer an `Expect` that it does not know by itself, in front of the gate.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  holdContinue(app.server)
  unparsed.watch(app.server)
  // In front of @fastify/otel, which would make a span of an error out of this answer; the hooks below come before it.
  app.setNotFoundHandler(() => {
    throw new AppError('not_found') // `unrouted` has refused it before.
  })
  if (options.fastifyOtel !== undefined) await app.register(options.fastifyOtel.plugin())
  setErrorHandler(app, options.onRefused)
  await app.register(arrival, options)
  await app.register(identityGate, options.gate)
  await app.register(blockedGate, options)
  await app.register(limits, options)
  await app.register(unrouted)
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
    const { arrival, id: decisionId } = request
    const requester = peerOf(request)?.spiffeId
    if (!isRecorded(error) || error.code === 'internal_error') onRefused(refusedOf(request), error)
    if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS)
    if (error.code === 'unsupported_media_type') reply.header('accept', 'application/json')
    // The rest of an unread body would have to be read to keep the connection: refuse it instead.
    if (hasBody(request) && !request.raw.complete) {
      reply.raw.shouldKeepAlive = false
      lingerAfterAnswer(request.raw, requester === undefined ? STRANGER_LINGER : CALLER_LINGER)
    }
    // Fastify closes after every body that its parser refuses, read or not; a new handshake costs more than such a refusal.
    else if (reply.raw.shouldKeepAlive) reply.removeHeader('connection')
    const problem = problemOf(error, {
      decisionId,
      traceId: arrival.trace.traceId,
      requester,
      capability: arrival.capability,
    })
    return reply.code(error.kind.status).type('application/problem+json').send(problem)
  })
}

function refusedOf(request: FastifyRequest): Refused {
  const { arrival, id: decisionId, ip: remoteAddress, routeOptions, headers } = request
  return {
    decisionId,
    trace: arrival.trace,
    requester: peerOf(request)?.spiffeId,
    remoteAddress,
    request: {
      span: arrival.span,
      route: routeOptions.url?.replaceAll(/:(\w+)/g, '{$1}') ?? 'unknown',
      idempotencyKeyPresent: headers[HEADERS.idempotencyKey] !== undefined,
    },
  }
}

/** One that has none is complete only after the hooks. */
function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
