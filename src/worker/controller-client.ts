// HTTP to the controllers of one mesh over mTLS. Connections are made only to a peer with the controllers' SPIFFE ID.
import type { Readable } from 'node:stream'
import { Pool, type buildConnector, type Dispatcher } from 'undici'
import { formatIdempotencyKey } from '../core/idempotency-key.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { formatTraceparent, type TraceContext } from '../core/trace-context.ts'
import { DEFAULT_TIMEOUT_MS, HEADERS, MAX_TIMEOUT_MS, type RouteBody } from '../core/wire.ts'
import { createHostLookup, type HostLookupOptions } from '../platform/host-lookup.ts'
import type { CredentialSource } from '../platform/tls/credentials.ts'
import type { PeerVerifier } from '../platform/svid/verify.ts'
import { createPinnedConnector } from '../platform/tls/tls.ts'
import type { Controller } from './controllers/endpoint.ts'
import type { ControllerChange } from './controllers/endpoint-health.ts'
import { createEndpoints, type Endpoints, type Preference } from './controllers/endpoints.ts'
import { failOver, type Answered, type Call } from './controllers/fail-over.ts'
import { readText } from './controllers/read-text.ts'

type RequestOptions = {
  readonly signal?: AbortSignal
  readonly trace?: TraceContext
  readonly tracestate?: string
}

/** `chain`: the x-crank-chain of the call on behalf of which this one is made. */
type RouteOptions = { readonly lastEventId?: string; readonly chain?: string }

/** A JSON answer of a controller with any status. `body` is undefined if it is not JSON. */
export type ControllerReply = { readonly status: number; readonly body: unknown; readonly controller: Controller }

/** The answer to a call as it arrives. The receiver must read `body` to its end or destroy it. */
export type RouteAnswer = {
  readonly status: number
  readonly contentType: string
  readonly decisionId: string | undefined
  readonly traceId: string | undefined
  /** Set when a worker answered; without it, an error comes from the controller. */
  readonly workerId: string | undefined
  readonly controller: Controller
  readonly body: Readable
}

/**
 * With several controllers, a request goes to the next one when nothing of it was sent, or when the controller says that it
 * cannot serve anybody now. What may have been executed is sent again only if the call has an idempotency key; `post` and `get`
 * are always sent again.
 */
export type ControllerClient = {
  /**
   * Calls a capability in the streaming form of /route, which has no limit on the payload; the JSON form is limited to
   * 1 MiB. All attempts have the same key and the same trace, and end within the time limit of the call.
   * @throws {Error} when there is no answer: no connection, a wrong peer, aborted.
   */
  route(body: RouteBody, options?: RequestOptions & RouteOptions): Promise<RouteAnswer>
  /** POST of JSON to another path, e.g. `/register`: only what may be sent twice. @throws as `route`. */
  post(path: string, body: unknown, options?: RequestOptions & Preference): Promise<ControllerReply>
  /** GET, e.g. `/workers`. @throws as `route`. */
  get(path: string, options?: RequestOptions): Promise<ControllerReply>
  /** Closes idle connections and aborts running requests. */
  close(): Promise<void>
}

type ControllerClientOptions = {
  /** `https://host:port` of each; a name stands for all its addresses. */
  readonly controllerUrls: readonly string[]
  readonly controllerId: SpiffeId
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  /** Told when a controller is avoided, and when it is used again; only if there are several. */
  readonly report?: (change: ControllerChange) => void
  /** Left out: `dns.lookup`. */
  readonly lookup?: HostLookupOptions['lookup']
  /** Returns a number from 0 to below 1. */
  readonly random?: () => number
  /** Milliseconds of a clock that is never set. Left out: `performance.now`. */
  readonly monotonic?: () => number
}

const CONNECTIONS = 16
const CONNECT_TIMEOUT_MS = 5_000
// The controller's own limits apply first: the call's timeout, then 60 s of silence in a stream.
const HEADERS_MARGIN_MS = 15_000
const BODY_TIMEOUT_MS = 90_000
// Below the controller's 30 s, so that no request is written to a connection that the controller is closing.
const KEEP_ALIVE_MS = 20_000
const MAX_REPLY_BYTES = 4 * 1024 * 1024
/** Of requests other than calls; most have a signal that ends earlier. */
const LIMIT_MS = 30_000

export function createControllerClient(options: ControllerClientOptions): ControllerClient {
  const { monotonic = () => performance.now() } = options
  const endpoints = endpointsOf({ ...options, monotonic })
  // Connections show the certificate of their handshake. The CA of the old one may be removed next: new calls use new ones.
  const unsubscribe = options.source.onChange((next, previous) => {
    if (next.certPem !== previous.certPem) endpoints.renew()
  })
  const send = (call: Partial<Call> & Pick<Call, 'requestFor'>, signal: AbortSignal | undefined): Promise<Answered> =>
    failOver(endpoints, { limitMs: LIMIT_MS, isRepeatable: true, preference: {}, ...call, signal }, { monotonic })
  return {
    async route(call, { lastEventId, chain, ...rest } = {}) {
      const limitMs = call.timeout_ms ?? DEFAULT_TIMEOUT_MS
      const isRepeatable = call.idempotency_key !== undefined
      // The answer to a call with a key is sent when it is complete, which may be after the time limit for its first byte.
      const headersTimeout = (isRepeatable ? MAX_TIMEOUT_MS : limitMs) + HEADERS_MARGIN_MS
      const requestFor: Call['requestFor'] = (leftMs) => {
        const left = leftMs === undefined ? call : { ...call, timeout_ms: Math.max(1, Math.floor(leftMs)) }
        const { path, headers } = streamingForm(left, { lastEventId, chain })
        return { ...request('POST', path, rest, call.payload ?? null, headers), headersTimeout }
      }
      return toRouteAnswer(await send({ requestFor, limitMs, isRepeatable }, rest.signal))
    },
    async post(path, body, { first, last, ...rest } = {}) {
      const requestFor = () => request('POST', path, rest, body)
      return toReply(await send({ requestFor, preference: { first, last } }, rest.signal))
    },
    get: async (path, rest = {}) => toReply(await send({ requestFor: () => request('GET', path, rest) }, rest.signal)),
    close: async () => {
      unsubscribe()
      await endpoints.close()
    },
  }
}

function endpointsOf({
  controllerUrls,
  controllerId,
  monotonic,
  ...options
}: ControllerClientOptions & { readonly monotonic: () => number }): Endpoints {
  const { source, verifier, lookup, random = Math.random, report = () => undefined } = options
  return createEndpoints({
    urls: controllerUrls,
    lookup: createHostLookup({ monotonic, lookup }),
    connectorTo: (addresses) =>
      createPinnedConnector({
        source,
        verifier,
        expected: controllerId,
        timeoutMs: CONNECT_TIMEOUT_MS,
        ...(addresses !== undefined && { addresses: () => Promise.resolve(addresses) }),
      }),
    openPool,
    monotonic,
    random,
    report,
  })
}

function openPool(origin: string, connect: buildConnector.connector): Pool {
  return new Pool(origin, {
    connect,
    allowH2: false,
    connections: CONNECTIONS,
    pipelining: 1,
    headersTimeout: LIMIT_MS + HEADERS_MARGIN_MS,
    bodyTimeout: BODY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  })
}

/** The path and headers that correspond to the members of the JSON form. The controller rejects an invalid name. */
function streamingForm(call: RouteBody, { lastEventId, chain }: { [K in keyof RouteOptions]: string | undefined }) {
  const [verb, capability] = [call.verb, call.capability].map(encodeURIComponent)
  const headers: Record<string, string> = {}
  if (call.idempotency_key !== undefined) headers[HEADERS.idempotencyKey] = formatIdempotencyKey(call.idempotency_key)
  if (call.priority !== undefined) headers[HEADERS.priority] = call.priority
  if (call.timeout_ms !== undefined) headers[HEADERS.timeoutMs] = String(call.timeout_ms)
  if (call.version !== undefined) headers[HEADERS.version] = call.version
  const [prefer, require] = [call.prefer, call.require].map(labelHeader)
  if (prefer !== undefined) headers[HEADERS.prefer] = prefer
  if (require !== undefined) headers[HEADERS.require] = require
  if (lastEventId !== undefined) headers[HEADERS.lastEventId] = lastEventId
  if (chain !== undefined) headers[HEADERS.chain] = chain
  return { path: `/route/${verb}/${capability}`, headers }
}

/** Undefined for no labels: an empty header is refused. */
function labelHeader(labels: Readonly<Record<string, string>> = {}): string | undefined {
  const words = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
  return words.length === 0 ? undefined : words.join(', ')
}

function request(
  method: 'GET' | 'POST',
  path: string,
  { trace, tracestate }: RequestOptions,
  body?: unknown,
  extra: Record<string, string> = {},
): Omit<Dispatcher.RequestOptions, 'signal'> {
  const headers: Record<string, string> = { accept: '*/*', ...extra }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (trace !== undefined) headers[HEADERS.traceparent] = formatTraceparent(trace)
  if (tracestate !== undefined) headers[HEADERS.tracestate] = tracestate
  return { method, path, headers, body: body === undefined ? null : JSON.stringify(body) }
}

/** Attributes of a call's CLIENT span that describe its answer. */
export function answerAttributes(answer: Pick<RouteAnswer, 'status' | 'decisionId' | 'workerId'>) {
  const { status, decisionId, workerId } = answer
  return {
    'http.response.status_code': status,
    ...(decisionId !== undefined && { 'opa.decision_id': decisionId }),
    ...(workerId !== undefined && { 'crank.worker_id': workerId }),
  }
}

function toRouteAnswer({ answer: { status, headers, body }, controller }: Answered): RouteAnswer {
  const one = (name: string): string | undefined => [headers[name]].flat()[0]
  const [decisionId, traceId, workerId] = [HEADERS.decisionId, HEADERS.traceId, HEADERS.workerId].map(one)
  return { status, contentType: one('content-type') ?? '', decisionId, traceId, workerId, controller, body }
}

async function toReply({ answer: { status, body }, controller }: Answered): Promise<ControllerReply> {
  const text = await readText(body, MAX_REPLY_BYTES)
  try {
    return { status, body: JSON.parse(text) as unknown, controller }
  } catch {
    return { status, body: undefined, controller }
  }
}
