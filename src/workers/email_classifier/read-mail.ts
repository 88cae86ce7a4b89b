// Turns the input into a mail: text directly, a message through convert:email_to_text, which another worker provides.
import Type, { type Static } from 'typebox'
import { capabilityError, type HandlerError } from '../../worker/call-error.ts'
import type { HandlerContext } from '../../worker/handler.ts'
import { InvokeError } from '../../worker/invoke.ts'
import { createSchemaCheck, type SchemaCheck } from '../../worker/schema-check.ts'
import { MAX_CONTENT_BYTES } from './limits.ts'
import { bodyText, type Mail } from './mail.ts'
import { looksLikeMessage } from './message-format.ts'
import type { Input } from './schemas.ts'

/** What reads a message. */
export const CONVERTER = 'convert:email_to_text'

type ReadMail = {
  readonly mail: Mail
  readonly source: 'text' | 'message'
  readonly truncated: boolean
}

// The used members of the answer; it may have others.
const Converted = Type.Object({ headers: Type.Record(Type.String(), Type.String()), body: Type.String() })
type Converted = Static<typeof Converted>

const NOT_READABLE: ReadonlySet<string> = new Set(['INVALID_EMAIL', 'INVALID_INPUT'])
// The converter's own limit, and the limits on the way to it.
const TOO_LARGE: ReadonlySet<string> = new Set(['LIMIT_EXCEEDED', 'payload_too_large', 'INPUT_TOO_LARGE'])

/** @throws {HandlerError} with one of the declared codes */
export async function readMail(context: HandlerContext<Input, typeof CONVERTER>): Promise<ReadMail> {
  const { email_content, content_format = 'auto', subject } = context.input
  const bytes = Buffer.byteLength(email_content, content_format === 'message_base64' ? 'base64' : 'utf8')
  if (bytes > MAX_CONTENT_BYTES) {
    throw capabilityError(
      'LIMIT_EXCEEDED',
      `input/email_content is ${bytes} bytes long, at most ${MAX_CONTENT_BYTES} are read`,
    )
  }
  const isText = content_format === 'text' || (content_format === 'auto' && !looksLikeMessage(email_content))
  const { headers, body } = isText ? { headers: {}, body: email_content } : await convert(context)
  const read = bodyText(body)
  const fields = new Map(Object.entries(headers))
  return {
    mail: { subject: (subject ?? fields.get('subject') ?? '').toWellFormed(), body: read.text, headers: fields },
    source: isText ? 'text' : 'message',
    truncated: read.truncated,
  }
}

async function convert({ input, invoke, signal, log }: HandlerContext<Input, typeof CONVERTER>): Promise<Converted> {
  const { email_content: raw_email, content_format } = input
  const encoding = content_format === 'message_base64' ? 'base64' : 'text'
  let answer: unknown
  try {
    answer = await invoke(CONVERTER, { raw_email, encoding })
  } catch (error: unknown) {
    if (signal.aborted) throw error
    const code = error instanceof InvokeError ? error.code : 'no_answer'
    log.warn({ event: 'conversion_failed', error: code }, 'the mail could not be converted')
    throw failureOf(error, code)
  }
  if (isConverted(answer)) return answer
  throw capabilityError('CLASSIFICATION_FAILED', `${CONVERTER} returned an invalid answer`)
}

let check: SchemaCheck | undefined
function isConverted(answer: unknown): answer is Converted {
  check ??= createSchemaCheck(Converted, 'answer')
  return check(answer) === undefined
}

// What the converter says about the mail is for the caller. Everything else is a fault between here and the converter:
// denied by policy, no live worker, a fault of the worker. `cause` is left out: it would be logged, and may quote the
// mail.
function failureOf(error: unknown, code: string): HandlerError {
  if (error instanceof InvokeError) {
    if (NOT_READABLE.has(code)) return capabilityError('INVALID_INPUT', error.message)
    if (TOO_LARGE.has(code)) return capabilityError('LIMIT_EXCEEDED', error.message)
  }
  return capabilityError('CLASSIFIER_UNAVAILABLE', `${CONVERTER}, which reads messages, failed with ${code}`)
}
