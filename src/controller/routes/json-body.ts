// The one body parser of the JSON routes: bounded in bytes, time and depth; strict UTF-8; no name twice at the top; bytes kept.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../core/errors.ts'
import { jsonMembers, JsonShapeError } from '../../core/json-members.ts'
import { sayContinue } from './expectation.ts'

export const MAX_JSON_DEPTH = 32
const BODY_TIMEOUT_MS = 10_000
/** JSON.parse of Fastify drops it, and then nothing stands where it was measured (RFC 8259, 8.1: must not be sent). */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

const sources = new WeakMap<object, Map<string, Buffer>>()

/** Makes `application/json` the only content type of a scope, parsed as described above. */
export function acceptJsonOnly(app: FastifyInstance, limitBytes: number): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    async (request: { headers: IncomingMessage['headers'] }, payload: IncomingMessage) => {
      if (request.headers['content-encoding'] !== undefined) {
        throw new AppError(
          'unsupported_media_type',
          'compressed bodies are not accepted: send application/json without content-encoding',
        )
      }
      const bytes = await readBody(payload, limitBytes)
      if (bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
        throw new AppError('request_invalid', 'the body starts with a byte order mark')
      }
      if (!isUtf8(bytes)) throw new AppError('request_invalid', 'the body is not valid UTF-8')
      const body = await new Promise<unknown>((resolve, reject) => {
        void parse(request as never, bytes.toString('utf8'), (error, parsed) => {
          if (error === null) resolve(parsed)
          else reject(new AppError('request_invalid', 'the body is not valid JSON', { cause: error }))
        })
      })
      if (typeof body !== 'object' || body === null) return body
      sources.set(body, membersOf(bytes))
      return body
    },
  )
}

/** The bytes of one member of a parsed body, exactly as they were sent. */
export function memberBytes(body: object, name: string): Buffer | undefined {
  return sources.get(body)?.get(name)
}

function membersOf(bytes: Buffer): Map<string, Buffer> {
  try {
    return jsonMembers(bytes, MAX_JSON_DEPTH)
  } catch (cause: unknown) {
    if (!(cause instanceof JsonShapeError)) throw cause
    throw new AppError('request_invalid', `the JSON body is not accepted: ${cause.message}`, { cause })
  }
}

function readBody(stream: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(stream.headers['content-length'] ?? 0) > limitBytes) {
      reject(tooLarge(limitBytes))
      return
    }
    sayContinue(stream)
    const chunks: Buffer[] = []
    let size = 0
    const timer = setTimeout(onTimeout, BODY_TIMEOUT_MS)
    stream.on('data', onData).once('end', onEnd).once('close', onClose)

    function settle(): void {
      clearTimeout(timer)
      stream.off('data', onData).off('end', onEnd).off('close', onClose)
    }
    function fail(error: AppError): void {
      settle()
      stream.resume()
      reject(error)
    }
    function onData(chunk: Buffer): void {
      size += chunk.length
      if (size > limitBytes) fail(tooLarge(limitBytes))
      else chunks.push(chunk)
    }
    function onEnd(): void {
      settle()
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks))
    }
    function onClose(): void {
      fail(new AppError('request_invalid', 'the body was not sent whole'))
    }
    function onTimeout(): void {
      fail(new AppError('request_timeout', 'the body did not arrive within 10 s'))
    }
  })
}

/** Made only when it is thrown: an error costs its stack trace, several times what reading a body does. */
function tooLarge(limitBytes: number): AppError {
  return new AppError('payload_too_large', `the body is larger than ${limitBytes} bytes`)
}
