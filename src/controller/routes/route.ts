// On the path of every call. POST /route and POST /route/{verb}/{capability}: the two forms of a call become one RouteCall
// for the pipeline.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import Type, { type Static } from 'typebox'
import type { CallChain } from '../../core/call-chain.ts'
import { CAPABILITY_WORD, makeCapability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { parseIdempotencyKey } from '../../core/idempotency-key.ts'
import { DEFAULT_TIMEOUT_MS, HEADERS, MAX_TIMEOUT_MS, Problem, RouteBody, VERSION_RANGE } from '../../core/wire.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { validTracestate } from '../../core/trace-context.ts'
import type { StartTimeout } from '../../platform/timeouts.ts'
import type { RouteCall } from '../call.ts'
import type { CallChains } from '../chain/call-chains.ts'
import type { RouteCapability } from '../pipeline.ts'
import { parseLabelHeader } from '../routing/labels.ts'
import { parseWish, type Wish } from '../routing/wish.ts'
import { askedBy } from './asked.ts'
import type { BodiesInFlight } from './bodies-in-flight.ts'
import { createAnswerSink } from './answer-sink.ts'
import { acceptJsonOnly, memberBytes } from './json-body.ts'
import { rawBody } from './raw-body.ts'

export type RouteRoutesOptions = {
  readonly route: RouteCapability
  readonly chains: Pick<CallChains, 'read'>
  readonly bodyLimitBytes: number
  /** Whether the drain is over: from then on the controller itself ends connections. */
  readonly isCut: () => boolean
  /** For the JSON form. The raw form streams: its body is not held in memory, and not read before the decision. */
  readonly bodies: BodiesInFlight
  /** For the body of the JSON form. */
  readonly startTimeout: StartTimeout
  /** Before the body of a call is read. `bytes`: as declared. @returns why it is refused, if it is */
  readonly arrive: (caller: SpiffeId, bytes: number) => AppError | undefined
}

const NULL_PAYLOAD = Buffer.from('null')
const EMPTY = Buffer.alloc(0)
const EVENT_ID = /^[\x20-\x7e]{1,256}$/

const word = Type.String({ pattern: CAPABILITY_WORD })
const RawParams = Type.Object({ verb: word, capability: word }, { additionalProperties: false })
// Other headers stay allowed, so the schema is open; Fastify does not coerce values here.
const RawHeaders = Type.Object({
  [HEADERS.priority]: Type.Optional(Type.String({ pattern: '^(low|normal|high)$' })),
  [HEADERS.timeoutMs]: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$' })),
  [HEADERS.version]: Type.Optional(Type.String({ pattern: VERSION_RANGE })),
  [HEADERS.prefer]: Type.Optional(Type.String()),
  [HEADERS.require]: Type.Optional(Type.String()),
})
const errors = { '4xx': Problem, '5xx': Problem }

/** The JSON form: the body names the capability and contains the payload. */
export const routeJson: FastifyPluginCallbackTypebox<RouteRoutesOptions> = (app, options, done) => {
  const { route, chains, bodies, bodyLimitBytes: limitBytes, isCut, startTimeout } = options
  app.addHook('onRequest', arrivalHook(options))
  acceptJsonOnly(app, { limitBytes, bodies, ownerOf: ({ peer }) => peer.spiffeId, opaque: 'payload', startTimeout })
  app.post(
    '/route',
    { schema: { body: RouteBody, response: errors }, config: { otel: false } },
    async (request, reply) => {
      const { body } = request
      await route({
        ...callFrom(request, { reply, isCut, chains }, body),
        form: 'json',
        priority: body.priority ?? 'normal',
        idempotencyKey: keyOf(request, body.idempotency_key),
        timeoutMs: body.timeout_ms ?? DEFAULT_TIMEOUT_MS,
        wish: parseWish(body),
        contentType: 'application/json',
        body: memberBytes(body, 'payload') ?? NULL_PAYLOAD,
        contentLength: undefined,
      })
      return reply
    },
  )
  done()
}

/** The raw form: the path names the capability, and the body, of any type, is the payload. */
export const routeRaw: FastifyPluginCallbackTypebox<RouteRoutesOptions> = (app, options, done) => {
  const { route, chains, isCut } = options
  app.addHook('onRequest', arrivalHook(options))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, parsed) => {
    parsed(null, payload)
  })
  const schema = { params: RawParams, headers: RawHeaders, response: errors }
  app.post('/route/:verb/:capability', { schema, config: { otel: false } }, async (request, reply) => {
    const settings = rawSettings(request.headers)
    const idempotencyKey = keyOf(request, undefined)
    const hasBody = request.body !== undefined
    await route({
      ...callFrom(request, { reply, isCut, chains }, request.params),
      ...settings,
      idempotencyKey,
      form: 'raw',
      contentType: request.headers['content-type'] ?? 'application/octet-stream',
      body: hasBody ? rawBody(request.raw) : EMPTY,
      contentLength: hasBody ? declaredLength(request) : undefined,
    })
    return reply
  })
  done()
}

/** In the scope of the calls: the other routes of workers, such as heartbeats, must work for a caller at its limit. */
function arrivalHook({ arrive, bodyLimitBytes }: RouteRoutesOptions): onRequestHookHandler {
  return ({ peer, headers }, _reply, next) => {
    next(arrive(peer.spiffeId, headers['transfer-encoding'] === undefined ? declared(headers) : bodyLimitBytes))
  }
}

function declared(headers: FastifyRequest['headers']): number {
  return Number(headers['content-length'] ?? 0)
}

type Common = Omit<
  RouteCall,
  'form' | 'priority' | 'idempotencyKey' | 'timeoutMs' | 'wish' | 'contentType' | 'body' | 'contentLength'
>

function callFrom(
  request: FastifyRequest,
  { reply, isCut, chains }: Pick<RouteRoutesOptions, 'isCut' | 'chains'> & { readonly reply: FastifyReply },
  named: { verb: string; capability: string },
): Common {
  const asked = askedBy(request)
  const capability = makeCapability(named.verb, named.capability)
  request.arrival.capability = capability
  asked.span.setAttribute('crank.capability', capability)
  const chain = chainOf(request, chains)
  return {
    ...asked,
    chain,
    verb: named.verb,
    name: named.capability,
    capability,
    tracestate: tracestateOf(request),
    lastEventId: lastEventId(request),
    sink: createAnswerSink(reply, { decisionId: asked.decisionId, traceId: asked.trace.traceId, isCut }),
  }
}

/** The chain of calls that the caller continues, or begins. */
function chainOf({ headers, peer, arrival }: FastifyRequest, chains: RouteRoutesOptions['chains']): CallChain {
  const chain = chains.read(headers[HEADERS.chain] as string | undefined, peer.spiffeId)
  const { span } = arrival
  span.setAttribute('crank.origin', chain.origin)
  span.setAttribute('crank.depth', chain.depth)
  if (chain.onBehalfOf !== null) span.setAttribute('crank.on_behalf_of', chain.onBehalfOf)
  return chain
}

/** Ignored without a valid traceparent (Trace Context 3.3.1.1). */
function tracestateOf({ headers, arrival }: FastifyRequest): string | undefined {
  const tracestate = headers[HEADERS.tracestate]
  return arrival.continued && typeof tracestate === 'string' ? validTracestate(tracestate) : undefined
}

/** Where to resume a broken event stream: any printable text, chosen by the worker; other values are ignored. */
function lastEventId({ headers }: FastifyRequest): string | undefined {
  const id = headers[HEADERS.lastEventId]
  return typeof id === 'string' && EVENT_ID.test(id) ? id : undefined
}

/** The key of either form, by header or member. @throws {AppError} `request_invalid` */
function keyOf({ headers }: FastifyRequest, member: string | undefined): string | undefined {
  const header = headers[HEADERS.idempotencyKey]
  if (typeof header !== 'string') return member
  const key = parseIdempotencyKey(header)
  if (member === undefined || member === key) return key
  throw new AppError(
    'request_invalid',
    'the header idempotency-key and the member idempotency_key differ: send one of them',
  )
}

type Settings = Pick<RouteCall, 'priority' | 'timeoutMs' | 'wish'>

function rawSettings(headers: Static<typeof RawHeaders>): Settings {
  const timeoutMs = Number(headers[HEADERS.timeoutMs] ?? DEFAULT_TIMEOUT_MS)
  if (timeoutMs > MAX_TIMEOUT_MS) {
    throw new AppError('request_invalid', `${HEADERS.timeoutMs} must be at most ${MAX_TIMEOUT_MS}`)
  }
  return {
    priority: (headers[HEADERS.priority] ?? 'normal') as Priority,
    timeoutMs,
    wish: wishOf(headers),
  }
}

function wishOf(headers: Static<typeof RawHeaders>): Wish | undefined {
  const { [HEADERS.version]: version, [HEADERS.prefer]: prefer, [HEADERS.require]: require } = headers
  if (version === undefined && prefer === undefined && require === undefined) return undefined
  return parseWish({
    version,
    prefer: prefer === undefined ? undefined : parseLabelHeader(HEADERS.prefer, prefer),
    require: require === undefined ? undefined : parseLabelHeader(HEADERS.require, require),
  })
}

function declaredLength(request: FastifyRequest): number | undefined {
  const length = request.headers['content-length']
  return length === undefined ? undefined : Number(length)
}
