// On the path of every call. POST /route and POST /route/{verb}/{capability}: the two forms of a call become one RouteCall
// for the pipeline.
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import Type, { type Static } from 'typebox'
import { CAPABILITY_WORD, makeCapability } from '../../core/capability.ts'
import type { Priority } from '../../core/decision.ts'
import { AppError } from '../../core/errors.ts'
import { DEFAULT_TIMEOUT_MS, HEADERS, IDEMPOTENCY_KEY, MAX_TIMEOUT_MS, Problem, RouteBody } from '../../core/wire.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { validTracestate } from '../../core/trace-context.ts'
import type { RouteCall } from '../call.ts'
import type { RouteCapability } from '../pipeline.ts'
import { askedBy } from './asked.ts'
import type { BodiesInFlight } from './bodies-in-flight.ts'
import { createAnswerSink } from './answer-sink.ts'
import { acceptJsonOnly, memberBytes } from './json-body.ts'
import { rawBody } from './raw-body.ts'

export type RouteRoutesOptions = {
  readonly route: RouteCapability
  readonly bodyLimitBytes: number
  /** Whether the drain is over: from then on the controller itself ends connections. */
  readonly isCut: () => boolean
  /** For the JSON form. The raw form streams: its body is not held in memory, and not read before the decision. */
  readonly bodies: BodiesInFlight
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
  [HEADERS.idempotencyKey]: Type.Optional(Type.String({ pattern: IDEMPOTENCY_KEY })),
  [HEADERS.priority]: Type.Optional(Type.String({ pattern: '^(low|normal|high)$' })),
  [HEADERS.timeoutMs]: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,5}$' })),
})
const errors = { '4xx': Problem, '5xx': Problem }

/** The JSON form: the body names the capability and contains the payload. */
export const routeJson: FastifyPluginCallbackTypebox<RouteRoutesOptions> = (app, options, done) => {
  const { route, bodies, bodyLimitBytes: limitBytes, isCut } = options
  app.addHook('onRequest', arrivalHook(options))
  acceptJsonOnly(app, { limitBytes, bodies, ownerOf: ({ peer }) => peer.spiffeId, opaque: 'payload' })
  app.post(
    '/route',
    { schema: { body: RouteBody, response: errors }, config: { otel: false } },
    async (request, reply) => {
      const { body } = request
      await route({
        ...callFrom(request, { reply, isCut }, body),
        form: 'json',
        priority: body.priority ?? 'normal',
        idempotencyKey: body.idempotency_key,
        timeoutMs: body.timeout_ms ?? DEFAULT_TIMEOUT_MS,
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
  const { route, isCut } = options
  app.addHook('onRequest', arrivalHook(options))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, parsed) => {
    parsed(null, payload)
  })
  const schema = { params: RawParams, headers: RawHeaders, response: errors }
  app.post('/route/:verb/:capability', { schema, config: { otel: false } }, async (request, reply) => {
    const settings = rawSettings(request.headers)
    const hasBody = request.body !== undefined
    await route({
      ...callFrom(request, { reply, isCut }, request.params),
      ...settings,
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
  'form' | 'priority' | 'idempotencyKey' | 'timeoutMs' | 'contentType' | 'body' | 'contentLength'
>

function callFrom(
  request: FastifyRequest,
  { reply, isCut }: { reply: FastifyReply; isCut: () => boolean },
  named: { verb: string; capability: string },
): Common {
  const asked = askedBy(request)
  const capability = makeCapability(named.verb, named.capability)
  request.arrival.capability = capability
  asked.span.setAttribute('crank.capability', capability)
  return {
    ...asked,
    verb: named.verb,
    name: named.capability,
    capability,
    tracestate: tracestateOf(request),
    lastEventId: lastEventId(request),
    sink: createAnswerSink(reply, { decisionId: asked.decisionId, traceId: asked.trace.traceId, isCut }),
  }
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

function rawSettings(headers: Static<typeof RawHeaders>): Pick<RouteCall, 'priority' | 'idempotencyKey' | 'timeoutMs'> {
  const timeoutMs = Number(headers[HEADERS.timeoutMs] ?? DEFAULT_TIMEOUT_MS)
  if (timeoutMs > MAX_TIMEOUT_MS) {
    throw new AppError('request_invalid', `${HEADERS.timeoutMs} must be at most ${MAX_TIMEOUT_MS}`)
  }
  return {
    priority: (headers[HEADERS.priority] ?? 'normal') as Priority,
    idempotencyKey: headers[HEADERS.idempotencyKey],
    timeoutMs,
  }
}

function declaredLength(request: FastifyRequest): number | undefined {
  const length = request.headers['content-length']
  return length === undefined ? undefined : Number(length)
}
