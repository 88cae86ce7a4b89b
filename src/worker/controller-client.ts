// HTTP to the controller over mTLS. Connections are made only to a peer with the controller's SPIFFE ID.
import type { Readable } from 'node:stream'
import { Pool, type Dispatcher } from 'undici'
import { formatIdempotencyKey } from '../core/idempotency-key.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { formatTraceparent, type TraceContext } from '../core/trace-context.ts'
import { HEADERS, MAX_TIMEOUT_MS, type RouteBody } from '../core/wire.ts'
import type { CredentialSource } from '../platform/tls/credentials.ts'
import type { PeerVerifier } from '../platform/svid/verify.ts'
import { createPinnedConnector } from '../platform/tls/tls.ts'

type RequestOptions = {
  readonly signal?: AbortSignal
  readonly trace?: TraceContext
  readonly tracestate?: string
}

/** `chain`: the x-crank-chain of the call on behalf of which this one is made. */
type RouteOptions = { readonly lastEventId?: string; readonly chain?: string }

/** A JSON answer of the controller with any status. `body` is undefined if it is not JSON. */
export type ControllerReply = { readonly status: number; readonly body: unknown }

/** The answer to a call as it arrives. The receiver must read `body` to its end or destroy it. */
export type RouteAnswer = {
  readonly status: number
  readonly contentType: string
  readonly decisionId: string | undefined
  readonly traceId: string | undefined
  /** Set when a worker answered; without it, an error comes from the controller. */
  readonly workerId: string | undefined
  readonly body: Readable
}

export type ControllerClient = {
  /**
   * Calls a capability in the streaming form of /route, which has no limit on the payload; the JSON form is limited to
   * 1 MiB.
   * @throws {Error} when there is no answer: no connection, a wrong peer, aborted.
   */
  route(body: RouteBody, options?: RequestOptions & RouteOptions): Promise<RouteAnswer>
  /** POST of JSON to another path, e.g. `/register`. @throws as `route`. */
  post(path: string, body: unknown, options?: RequestOptions): Promise<ControllerReply>
  /** GET, e.g. `/workers`. @throws as `route`. */
  get(path: string, options?: RequestOptions): Promise<ControllerReply>
  /** Closes idle connections and aborts running requests. */
  close(): Promise<void>
}

type ControllerClientOptions = {
  /** `https://host:port` */
  readonly controllerUrl: string
  readonly controllerId: SpiffeId
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
}

const CONNECTIONS = 16
const CONNECT_TIMEOUT_MS = 5_000
// The controller's own limits apply first: the call's timeout, then 60 s of silence in a stream.
const HEADERS_TIMEOUT_MS = MAX_TIMEOUT_MS + 15_000
const BODY_TIMEOUT_MS = 90_000
// Below the controller's 30 s, so that no request is written to a connection that the controller is closing.
const KEEP_ALIVE_MS = 20_000
const MAX_REPLY_BYTES = 4 * 1024 * 1024

export function createControllerClient(options: ControllerClientOptions): ControllerClient {
  const { source, verifier, controllerId: expected } = options
  const connect = createPinnedConnector({ source, verifier, expected, timeoutMs: CONNECT_TIMEOUT_MS })
  const open = (): Pool =>
    new Pool(options.controllerUrl, {
      connect,
      connections: CONNECTIONS,
      pipelining: 1,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    })
  let pool = open()
  const ending = new Set<Pool>()
  // Connections show the certificate of their handshake. The CA of the old one may be removed next: new calls use new ones.
  const unsubscribe = source.onChange((next, previous) => {
    if (next.certPem === previous.certPem) return
    const old = pool
    pool = open()
    ending.add(old)
    void old
      .close()
      .catch(() => undefined)
      .finally(() => ending.delete(old))
  })
  return {
    async route(call, { lastEventId, chain, ...rest } = {}) {
      const { path, headers } = streamingForm(call, { lastEventId, chain })
      return toRouteAnswer(await pool.request(request('POST', path, rest, call.payload ?? null, headers)))
    },
    post: async (path, body, rest = {}) => toReply(await pool.request(request('POST', path, rest, body))),
    get: async (path, rest = {}) => toReply(await pool.request(request('GET', path, rest))),
    close: async () => {
      unsubscribe()
      await Promise.all([pool, ...ending].map((one) => one.destroy()))
    },
  }
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
  { signal, trace, tracestate }: RequestOptions,
  body?: unknown,
  extra: Record<string, string> = {},
): Dispatcher.RequestOptions {
  const headers: Record<string, string> = { accept: '*/*', ...extra }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (trace !== undefined) headers[HEADERS.traceparent] = formatTraceparent(trace)
  if (tracestate !== undefined) headers[HEADERS.tracestate] = tracestate
  return { method, path, headers, body: body === undefined ? null : JSON.stringify(body), signal: signal ?? null }
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

function toRouteAnswer({ statusCode: status, headers, body }: Dispatcher.ResponseData): RouteAnswer {
  const one = (name: string): string | undefined => [headers[name]].flat()[0]
  const [decisionId, traceId, workerId] = [HEADERS.decisionId, HEADERS.traceId, HEADERS.workerId].map(one)
  return { status, contentType: one('content-type') ?? '', decisionId, traceId, workerId, body }
}

async function toReply({ statusCode: status, body }: Dispatcher.ResponseData): Promise<ControllerReply> {
  const text = await readText(body, MAX_REPLY_BYTES)
  try {
    return { status, body: JSON.parse(text) as unknown }
  } catch {
    return { status, body: undefined }
  }
}

/** Reads a whole body as text. @throws {Error} when it is longer than `maxBytes`. */
export async function readText(body: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
