// The body of POST /execute: JSON that fits the input schema, or the bytes themselves.
import type { Readable } from 'node:stream'
import { RuntimeError } from './call-error.ts'
import { ByteInput, type ByteBody, type CapabilityDefinition } from './define.ts'
import type { SchemaCheck } from './schema-check.ts'

const JSON_MEDIA_TYPE = /^application\/json *(;|$)/i

/**
 * Reads and checks the input of a call.
 * @throws {RuntimeError} UNSUPPORTED_MEDIA_TYPE, INPUT_TOO_LARGE (JSON longer than `maxBytes`), INVALID_INPUT.
 */
export async function readInput(opts: {
  readonly definition: CapabilityDefinition
  readonly check: SchemaCheck
  readonly contentType: string | undefined
  readonly body: Readable
  readonly maxBytes: number
}): Promise<unknown> {
  const { contentType, body } = opts
  if (opts.definition.input === ByteInput) return { contentType, stream: body } satisfies ByteBody
  if (contentType === undefined || !JSON_MEDIA_TYPE.test(contentType)) {
    throw new RuntimeError('UNSUPPORTED_MEDIA_TYPE', `${opts.definition.capability} takes application/json`)
  }
  const given = parseJson(await readAll(body, opts.maxBytes))
  // A call without a payload gives null. If the schema refuses null, the input is an object with every default.
  const input = given === null && opts.check(null) !== undefined ? {} : given
  const fault = opts.check(input)
  if (fault !== undefined) throw new RuntimeError('INVALID_INPUT', fault)
  return input
}

async function readAll(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // Unread parts of a body that is too long must not close the connection, and lose the answer.
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) break
      chunks.push(chunk)
    }
  } catch (cause: unknown) {
    throw new RuntimeError('CALLER_LEFT', 'the input is incomplete: the connection closed', { cause })
  }
  if (size > maxBytes) throw new RuntimeError('INPUT_TOO_LARGE', `the input is longer than ${maxBytes} bytes`)
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
}

// JSON.parse of invalid UTF-8 would silently accept U+FFFD.
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return null
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown
  } catch (cause: unknown) {
    throw new RuntimeError('INVALID_INPUT', 'input is not JSON in UTF-8', { cause })
  }
}
