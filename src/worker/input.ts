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
  // A caller that sends no payload gives nothing, which is every default where an object is wanted.
  const input = given === null && opts.check(null) !== undefined ? {} : given
  const fault = opts.check(input)
  if (fault !== undefined) throw new RuntimeError('INVALID_INPUT', fault)
  return input
}

async function readAll(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // What is left of a body that is too long must not take the connection, and the answer, with it.
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) break
      chunks.push(chunk)
    }
  } catch (cause: unknown) {
    throw new RuntimeError('CALLER_LEFT', 'the input broke off', { cause })
  }
  if (size > maxBytes) throw new RuntimeError('INPUT_TOO_LARGE', `the input is longer than ${maxBytes} bytes`)
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
}

// JSON.parse of broken UTF-8 would see U+FFFD and pass it on as if somebody had written it.
const utf8 = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return null
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown
  } catch (cause: unknown) {
    throw new RuntimeError('INVALID_INPUT', 'input is not JSON in UTF-8', { cause })
  }
}
