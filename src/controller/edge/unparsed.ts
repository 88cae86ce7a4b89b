// Handles input that never becomes a request for a hook: bytes that are not HTTP/1.1, headers that are too long or too late,
// a CONNECT. Answers like the gate and the error handler: 401 for strangers, a problem for peers, a record and a count.
import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { AppError, toAppError, type ErrorCode } from '../../core/errors.ts'
import { randomHex, uuidv7 } from '../../core/ids.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { HEADERS } from '../../core/wire.ts'
import { createConnectionIdentity, type ConnectionIdentityOptions } from '../../platform/tls/connection-identity.ts'
import { lingerAfterAnswer, lingeringClose, STRANGER_LINGER } from '../../platform/tls/lingering-close.ts'
import type { Refused } from '../call.ts'
import type { ConnectionsHeld } from '../identity/connections-held.ts'
import type { ConnectionRefusal, Metrics } from '../metrics/metrics.ts'
import { problemOf, type ProblemContext } from './problem.ts'
import { createUnusedConnections } from './unused-connections.ts'

export type UnparsedOptions = {
  readonly gate: ConnectionIdentityOptions
  readonly connections: Pick<ConnectionsHeld, 'take'>
  /** How long a verified peer keeps a connection without a request after the time for headers. */
  readonly unusedMs: number
  readonly metrics: Pick<Metrics, 'answered' | 'connectionRefused'>
  readonly now: () => number
  readonly onRefused: (refused: Refused, error: AppError) => void
}

type Unparsed = {
  /** For the server's `clientError`. */
  readonly onClientError: (error: Error & { code?: string }, socket: Socket) => void
  /** Answers on the bare socket and closes it. */
  readonly refuse: (socket: Socket, error: AppError) => void
  /** Call it before the server listens. */
  readonly watch: (server: Server) => void
  /** Ends connections that have not carried a request. */
  readonly close: () => void
}

/** How many requests of a connection are not fully answered, and the last request. */
type Requests = WeakMap<Socket, { unanswered: number; last: IncomingMessage }>

/** Node's code for headers that are late. */
const TOO_SLOW = 'ERR_HTTP_REQUEST_TIMEOUT'
const FAULTS: Readonly<Partial<Record<string, [ErrorCode, string]>>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'the headers are longer than 16 KiB'],
  [TOO_SLOW]: ['request_timeout', 'the headers did not arrive within 5 s'],
}

export function createUnparsed(options: UnparsedOptions): Unparsed {
  const { gate, connections, unusedMs, metrics, now, onRefused } = options
  const identify = createConnectionIdentity(gate)
  const identityOf = (socket: TLSSocket): SpiffeId => identify(socket).peer.spiffeId
  const unused = createUnusedConnections({ identify: identityOf, connections, restMs: unusedMs })
  const requests: Requests = new WeakMap()
  const refused = new WeakSet<Socket>()

  function onClientError({ code = '' }: { code?: string }, socket: Socket): void {
    const error = errorOf(code, () => unused.keep(socket))
    if (error === 'none') return
    metrics.connectionRefused(refusalOf(code))
    const known = requests.get(socket)
    // Closed, never secure, or in the middle of a body: the reader of that body records how it ended.
    if (!isFault(code) || known?.last.complete === false) {
      socket.destroy()
      return
    }
    // Bytes after a request that said it was the last one: its answer may not have left yet, and ends the connection.
    if (code === 'HPE_CLOSED_CONNECTION' && known !== undefined && known.unanswered > 0) return
    // Further bytes after a refusal.
    if (refused.has(socket)) return
    refuse(socket, error)
  }

  function refuse(socket: Socket, fault: AppError): void {
    refused.add(socket)
    const { error, requester } = judge(identityOf, socket, fault)
    const decisionId = uuidv7(now())
    const trace = { traceId: randomHex(16), spanId: randomHex(8), sampled: false }
    onRefused({ decisionId, trace, requester, remoteAddress: socket.remoteAddress }, error)
    const { status } = error.kind
    // In the middle of another answer these bytes would be read as its body.
    const isAnswerable = (requests.get(socket)?.unanswered ?? 0) === 0 && socket.writable
    metrics.answered({ route: undefined, status: isAnswerable ? status : undefined, code: error.code })
    if (!isAnswerable) {
      socket.destroy()
      return
    }
    socket.write(answerBytes(error, { decisionId, traceId: trace.traceId, requester, capability: undefined }))
    lingeringClose(socket, STRANGER_LINGER)
  }

  return {
    onClientError,
    refuse,
    close: () => unused.close(),
    watch(server) {
      unused.watch(server)
      countRequests(server, requests)
      server.on('connect', (request) => {
        answerConnect(server, request)
      })
    },
  }
}

function countRequests(server: Server, requests: Requests): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    const known = requests.get(socket) ?? begun(requests, request)
    known.unanswered += 1
    known.last = request
    response.once('close', () => {
      known.unanswered -= 1
    })
  })
}

/** One object per connection: V8 pays at every collection for a new one in a weak map. */
function begun(requests: Requests, last: IncomingMessage): { unanswered: number; last: IncomingMessage } {
  const none = { unanswered: 0, last }
  requests.set(last.socket, none)
  return none
}

/** `none`: the peer keeps the connection, which is idle. */
function errorOf(code: string, keep: () => boolean): AppError | 'none' {
  try {
    if (code === TOO_SLOW && keep()) return 'none'
  } catch (cause: unknown) {
    return toAppError(cause, 'internal_error')
  }
  const [fault, reason] = FAULTS[code] ?? ['request_invalid', 'the bytes are not an HTTP/1.1 request']
  return new AppError(fault, reason)
}

/** For a peer without a valid identity the error is that, whatever else is wrong. */
function judge(
  identityOf: (socket: TLSSocket) => SpiffeId,
  socket: Socket,
  error: AppError,
): { error: AppError; requester: SpiffeId | undefined } {
  try {
    if (!(socket instanceof TLSSocket)) throw new AppError('client_certificate_required')
    return { error, requester: identityOf(socket) }
  } catch (cause: unknown) {
    return { error: toAppError(cause, 'internal_error'), requester: undefined }
  }
}

/** The answer as bytes, since there is no response object to write it with. */
function answerBytes(error: AppError, context: ProblemContext): string {
  const { status } = error.kind
  const body = JSON.stringify(problemOf(error, context))
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\n` +
    `content-type: application/problem+json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
    `${HEADERS.decisionId}: ${context.decisionId}\r\n${HEADERS.traceId}: ${context.traceId}\r\n\r\n${body}`
  )
}

/** Node would close a CONNECT without an answer; this way it reaches the gate like any request, and is refused there or later. */
function answerConnect(server: Server, request: IncomingMessage): void {
  const { socket } = request
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  lingerAfterAnswer(request, STRANGER_LINGER)
  response.once('finish', () => {
    response.detachSocket(socket)
    socket.destroySoon()
    // As Node does for every other response: the event ends the request's span and counts the request.
    response.emit('close')
  })
  socket.on('error', () => undefined).resume()
  server.emit('request', request, response)
}

function isFault(code: string): boolean {
  return code.startsWith('HPE_') || code === TOO_SLOW
}

function refusalOf(code: string): ConnectionRefusal {
  if (/^ERR_(TLS|SSL|OSSL)_/.test(code)) return 'tls'
  if (code === TOO_SLOW) return 'too_slow'
  return code === 'ECONNRESET' ? 'reset' : 'malformed'
}
