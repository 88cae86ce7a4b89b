// On the path of every call. The mTLS listener: gate, limits, error handler,
// routes. A request passes the plugins in the order of their registration.
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
import { paceHandshakes, type HandshakeLine } from './edge/handshake-line.ts'
import { appErrorOf, problemOf } from './edge/problem.ts'
import { readAway } from './edge/read-away.ts'
import { createRefusalTurns, type RefusalTurns } from './edge/refusal-turns.ts'
import { createConnectionsHeld, type ConnectionsHeld } from './identity/connections-held.ts'
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
  Omit<UnparsedOptions, 'connections' | 'unusedMs'> &
  BlockedGateOptions &
  Omit<RouteRoutesOptions & RegistrationRoutesOptions, 'bodies'> &
  CatalogRoutesOptions & {
    readonly credentials: Credentials
    readonly tlsRefuseUnverified: boolean
    readonly maxConnections: number
    readonly monotonic: () => number
    /** Whether there are calls that a flood would delay. */
    readonly isBusy: () => boolean
    readonly fastifyOtel: FastifyOtelInstrumentation | undefined
    /** Called for every refusal that no step of the pipeline has recorded, and for every internal error. */
    readonly onRefused: (refused: Refused, error: AppError) => void
  }

/** Parts of the maximum of connections: those of one identity, and those that wait for their handshake. */
const IDENTITY_PART = 0.5
const WAITING_PART = 0.25
/** Connections that are opened together are no flood. */
const MIN_WAITING = 16
const MAX_HEADER_BYTES = 16 * 1024
const HEADERS_TIMEOUT_MS = 5000
const KEEP_ALIVE_MS = 30_000
/** Each check wakes an idle process. */
const CHECK_CONNECTIONS_MS = 1000

export type MtlsServer = FastifyInstance<Server>

/** Builds the server; the caller listens on it. */
export async function createServer(options: ServerOptions): Promise<MtlsServer> {
  const connections = createConnectionsHeld({
    max: Math.ceil(options.maxConnections * IDENTITY_PART),
    onIdentified: () => handshakes.identified(),
    onRefused: () => options.metrics.connectionRefused('identity_limit'),
  })
  const unparsed = createUnparsed({ ...options, connections, unusedMs: KEEP_ALIVE_MS - HEADERS_TIMEOUT_MS })
  const app = Fastify({
    https: {
      ...serverTlsOptions(options.credentials, { refuseUnverified: options.tlsRefuseUnverified }),
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      insecureHTTPParser: false,
      // Checked in `limits`, after the gate; Node would answer before the gate.
      requireHostHeader: false,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    genReqId: () => uuidv7(options.now()),
    requestIdHeader: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Bodies have their own limits: 10 s in total for JSON, an idle limit for the raw form.
    requestTimeout: 0,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
    clientErrorHandler: unparsed.onClientError,
    frameworkErrors: (error, { raw }) => {
      unparsed.refuse(raw.socket, appErrorOf(error))
    },
    // The router would refuse a long parameter before any hook; with this value `limits` refuses it.
    routerOptions: { maxParamLength: MAX_HEADER_BYTES },
    // The router would answer an unreadable path before any hook; this way the gate runs first, then `limits` refuses it.
    rewriteUrl: ({ url = '' }) => (isReadablePath(url) ? url : '/'),
  })
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  app.server.maxConnections = options.maxConnections
  app.server.on('drop', () => {
    options.metrics.connectionRefused('over_limit')
  })
  // Node itself would answer an unknown `Expect` before the gate.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  holdContinue(app.server)
  unparsed.watch(app.server)
  app.addHook('preClose', (done) => {
    unparsed.close()
    done()
  })
  // Registered before @fastify/otel, which would otherwise create an error span for this answer. The hooks below run first.
  app.setNotFoundHandler(() => {
    throw new AppError('not_found') // Never reached: `unrouted` refuses the request first.
  })
  if (options.fastifyOtel !== undefined) await app.register(options.fastifyOtel.plugin())
  setErrorHandler(app, options.onRefused, createRefusalTurns())
  const handshakes = pacedHandshakes(app, options)
  await registerGates(app, options, connections)
  await registerRoutes(app, options)
  return app
}

function pacedHandshakes(
  app: MtlsServer,
  { monotonic, isBusy, maxConnections, metrics }: ServerOptions,
): HandshakeLine {
  const maxWaiting = Math.max(MIN_WAITING, maxConnections * WAITING_PART)
  const onDropped = (): void => metrics.connectionRefused('not_in_turn')
  const line = paceHandshakes(app.server, { monotonic, isBusy, maxWaiting, onDropped })
  app.addHook('onClose', (_app, done) => {
    line.close()
    done()
  })
  return line
}

/** What every request passes before it has a route, in this order. */
async function registerGates(app: MtlsServer, options: ServerOptions, connections: ConnectionsHeld): Promise<void> {
  const { tracer, metrics, workerIdOf, gate, isBlocked, isCertificateBlocked, isLeaving, isDraining } = options
  await app.register(arrival, { tracer, metrics, ...(workerIdOf !== undefined && { workerIdOf }) })
  await app.register(identityGate, { ...gate, connections })
  await app.register(blockedGate, { isBlocked, isCertificateBlocked })
  await app.register(limits, { isLeaving, isDraining })
  await app.register(unrouted)
}

async function registerRoutes(app: MtlsServer, options: ServerOptions): Promise<void> {
  const { route, chains, arrive, isCut, bodyLimitBytes, startTimeout } = options
  const { register, heartbeat, deregister, workers, capabilities } = options
  // Collects the schemas of the routes; the admin listener serves the document.
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'Crank controller', version: VERSION } } })
  const bodies = createBodiesInFlight({ maxBytes: Math.max(MAX_BODY_BYTES, bodyLimitBytes) })
  await app.register(routeJson, { route, chains, arrive, isCut, bodyLimitBytes, bodies, startTimeout })
  await app.register(routeRaw, { route, chains, arrive, isCut, bodyLimitBytes, bodies, startTimeout })
  await app.register(registrationRoutes, { register, heartbeat, deregister, bodyLimitBytes, bodies })
  await app.register(catalogRoutes, { workers, capabilities })
}

function setErrorHandler(app: MtlsServer, onRefused: ServerOptions['onRefused'], turns: RefusalTurns): void {
  app.setErrorHandler<FastifyError | AppError>(async (thrown, request, reply) => {
    const error = appErrorOf(thrown)
    request.arrival.error = error.code
    const { arrival, id: decisionId } = request
    const requester = peerOf(request)?.spiffeId
    if (!isRecorded(error) || error.code === 'internal_error') onRefused(refusedOf(request), error)
    // Strangers have waited for their handshake, and lose their connection with the first answer.
    const turn = requester === undefined ? undefined : turns.wait(requester)
    if (turn !== undefined) await turn
    if (error.retryAfterS !== undefined) {
      reply.header('retry-after', error.retryAfterS)
      await readAway(request.raw)
    }
    if (error.headers !== undefined) reply.headers(error.headers)
    if (error.code === 'unsupported_media_type') reply.header('accept', 'application/json')
    // To keep the connection, the rest of an unread body would have to be read: close it instead.
    if (hasBody(request) && !request.raw.complete) {
      reply.raw.shouldKeepAlive = false
      lingerAfterAnswer(request.raw, requester === undefined ? STRANGER_LINGER : CALLER_LINGER)
    }
    // Fastify closes after every body that its parser refuses, even if it was read; a new handshake would cost more.
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

/** `complete` cannot tell: for a request without a body it is set only after the hooks. */
function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
