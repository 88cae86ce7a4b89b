// On the path of every call. The one body parser of the JSON routes. The caller is not authorised
// yet, so bytes, time, bodies at a time, members and depth are limited, and a body is parsed only
// after these checks. Strict UTF-8; no duplicate names at the top level; keeps the original bytes.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../../core/errors.ts'
import {
  jsonMembers,
  JsonShapeError,
  startsObject,
  withoutSpaceAround,
  type JsonLimits,
} from '../../core/json-members.ts'
import { exactTimeout, type StartTimeout } from '../../platform/timeouts.ts'
import type { BodiesInFlight, BodyInFlight } from './bodies-in-flight.ts'
import { sayContinue } from './expectation.ts'

const MAX_JSON_DEPTH = 32
const MAX_MEMBERS = 16
const BODY_TIMEOUT_MS = 10_000
/** Larger bodies are parsed one per turn of the event loop, so that other work can run in between. */
const LARGE_BYTES = 64 * 1024
const COMPRESSED = 'compressed bodies are not accepted: send application/json without content-encoding'
const NOT_JSON = 'the body is not valid JSON'
/** Decoding would drop the mark, and offsets in the bytes would no longer match (RFC 8259, 8.1: must not be sent). */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

type JsonBodyOptions = {
  readonly limitBytes: number
  readonly bodies: BodiesInFlight
  /** The identity that sends a body. */
  readonly ownerOf: (request: FastifyRequest) => string
  /** A member that is checked to be JSON and then replaced by `null`, to save memory: only its bytes are used. */
  readonly opaque?: string
  readonly startTimeout?: StartTimeout
}

/** The key under which a body with an opaque member has its bytes. Not a weak map: V8 pays for its entries at every collection. */
const SOURCES = Symbol('sources')

/** Makes `application/json`, parsed as described above, the only content type of a scope. */
export function acceptJsonOnly(
  app: FastifyInstance,
  { limitBytes, bodies, ownerOf, opaque, startTimeout = exactTimeout }: JsonBodyOptions,
): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    if (request.headers['content-encoding'] !== undefined) {
      throw new AppError('unsupported_media_type', COMPRESSED)
    }
    const declared = Number(request.headers['content-length'] ?? 0)
    if (declared > limitBytes) throw tooLarge(limitBytes)
    using body = await bodies.enter(ownerOf(request), declared)
    const bytes = await readBody(payload, { limitBytes, declared, body, startTimeout })
    if (bytes.length > LARGE_BYTES) await turnForLarge()
    return parseBody(bytes, limitsOf(request), opaque)
  })
}

/** The bytes of one member of a body that has an opaque one, exactly as they were sent. */
export function memberBytes(body: object, name: string): Buffer | undefined {
  return (body as { readonly [SOURCES]?: ReadonlyMap<string, Buffer> })[SOURCES]?.get(name)
}

function parseBody(sent: Buffer, limits: JsonLimits, opaque: string | undefined): unknown {
  const bytes = withoutSpaceAround(sent)
  if (bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) {
    throw new AppError('request_invalid', 'the body starts with a byte order mark')
  }
  if (!isUtf8(bytes)) throw new AppError('request_invalid', 'the body is not valid UTF-8')
  // A body that is not an object need not be parsed to be refused.
  if (!startsObject(bytes)) throw new AppError('request_invalid', 'body must be object')
  const members = membersOf(bytes, limits)
  const body = parsed(bytes)
  if (opaque === undefined) return body
  if (members.has(opaque)) body[opaque] = null
  body[SOURCES] = members
  return body
}

function membersOf(bytes: Buffer, limits: JsonLimits): Map<string, Buffer> {
  try {
    return jsonMembers(bytes, limits)
  } catch (cause: unknown) {
    if (!(cause instanceof JsonShapeError)) throw cause
    throw new AppError('request_invalid', sentenceOf(cause), { cause })
  }
}

function sentenceOf({ kind, message }: JsonShapeError): string {
  switch (kind) {
    case 'not_json':
      return NOT_JSON
    case 'unknown_member':
      return `body ${message}`
    case 'limit':
      return `the JSON body is not accepted: ${message}`
  }
}

/** Always an object, since `startsObject` was checked. */
function parsed(bytes: Buffer): Record<string | symbol, unknown> {
  try {
    return JSON.parse(bytes.toString('utf8')) as Record<string | symbol, unknown>
  } catch (cause: unknown) {
    throw new AppError('request_invalid', NOT_JSON, { cause })
  }
}

const limitsBySchema = new WeakMap<object, JsonLimits>()

/** The limits of the top level, from the route's own schema. */
function limitsOf(request: FastifyRequest): JsonLimits {
  const schema = (request.routeOptions.schema?.body ?? {}) as Partial<ObjectSchema>
  const known = limitsBySchema.get(schema)
  if (known !== undefined) return known
  const names = new Set([schema, schema.then, schema.else].flatMap((part) => Object.keys(part?.properties ?? {})))
  const limits = { maxDepth: MAX_JSON_DEPTH, maxMembers: MAX_MEMBERS, names, refusePrototypes: true }
  limitsBySchema.set(schema, limits)
  return limits
}

type ObjectSchema = { readonly properties: object; readonly then: ObjectSchema; readonly else: ObjectSchema }

let large: Promise<unknown> = Promise.resolve()

function turnForLarge(): Promise<unknown> {
  large = large.then(() => nextTurn())
  return large
}

type Reading = {
  readonly limitBytes: number
  readonly declared: number
  readonly body: BodyInFlight
  readonly startTimeout: StartTimeout
}

function readBody(stream: IncomingMessage, { limitBytes, declared, body, startTimeout }: Reading): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sayContinue(stream)
    const chunks: Buffer[] = []
    let size = 0
    const timer = startTimeout(onTimeout, BODY_TIMEOUT_MS)
    stream.on('data', onData).once('end', onEnd).once('close', onClose)
    // The caller may have left while the body waited for its turn.
    if (stream.destroyed) onClose()

    function settle(): void {
      timer.stop()
      stream.off('data', onData).off('end', onEnd).off('close', onClose)
    }
    function fail(error: AppError): void {
      settle()
      stream.resume()
      reject(error)
    }
    function onData(chunk: Buffer): void {
      size += chunk.length
      if (size > limitBytes) {
        fail(tooLarge(limitBytes))
        return
      }
      chunks.push(chunk)
      if (size > declared) growOrFail(Math.min(chunk.length, size - declared))
    }
    function growOrFail(bytes: number): void {
      try {
        body.grow(bytes)
      } catch (cause: unknown) {
        fail(cause as AppError)
      }
    }
    function onEnd(): void {
      settle()
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks))
    }
    function onClose(): void {
      fail(new AppError('request_invalid', 'the body is incomplete'))
    }
    function onTimeout(): void {
      fail(new AppError('request_timeout', 'the body did not arrive within 10 s'))
    }
  })
}

/** Created only when it is thrown: the stack trace of an error costs several times as much as reading a body. */
function tooLarge(limitBytes: number): AppError {
  return new AppError('payload_too_large', `the body is larger than ${limitBytes} bytes`)
}
