// Turns the input of a call into a task for the threads.
import type { Static } from 'typebox'
import { MAX_DOCUMENT_BYTES } from './limits.ts'
import type { DocumentInput, EmailInput, HtmlInput, PdfInput } from './schemas.ts'
import { ConversionFault, limitFault } from './task.ts'
import type { EmailTask, PdfOptions, PdfToTextTask, SourceFormat, ToPdfTask } from './task.ts'

type Bytes = Uint8Array<ArrayBuffer>
type Options = Static<typeof DocumentInput>['options']

const SOURCE_FORMATS: readonly SourceFormat[] = ['text', 'markdown', 'html', 'docx']
const LAST_MS = Date.UTC(9999, 11, 31)

// Each throws ConversionFault: INVALID_INPUT, INVALID_FORMAT or LIMIT_EXCEEDED.

export function documentTask({
  document_data,
  source_format,
  target_format,
  options,
}: Static<typeof DocumentInput>): ToPdfTask {
  const format = oneOf('source_format', source_format, SOURCE_FORMATS)
  oneOf('target_format', target_format ?? 'pdf', ['pdf'])
  return { kind: 'to_pdf', format, bytes: fromBase64('document_data', document_data), options: pdfOptions(options) }
}

export function htmlTask({ source_format = 'html', ...input }: Static<typeof HtmlInput>): ToPdfTask {
  return documentTask({ ...input, source_format: oneOf('source_format', source_format, ['html']) })
}

export function pdfTask({ document_data, ...input }: Static<typeof PdfInput>): PdfToTextTask {
  oneOf('source_format', input.source_format ?? 'pdf', ['pdf'])
  oneOf('target_format', input.target_format ?? 'text', ['text'])
  const bytes = fromBase64('document_data', document_data)
  return { kind: 'pdf_to_text', bytes, firstPage: input.first_page ?? 1, lastPage: input.last_page }
}

export function mailTask({ raw_email, encoding, extract_attachments, message }: Static<typeof EmailInput>): EmailTask {
  const bytes =
    encoding === 'base64'
      ? fromBase64('raw_email', raw_email)
      : withinLimit('raw_email', new Uint8Array(new TextEncoder().encode(raw_email)))
  return { kind: 'email_to_text', bytes, extractAttachments: extract_attachments ?? false, message }
}

function fromBase64(member: string, text: string): Bytes {
  // A copy: a small Buffer shares its memory, and this one goes to another thread.
  const bytes = new Uint8Array(Buffer.from(text, 'base64'))
  const characters = text.length - (/={1,2}$/.exec(text)?.[0].length ?? 0)
  // Buffer skips invalid characters: then bytes are missing.
  if (characters % 4 === 1 || bytes.length !== Math.floor((characters * 3) / 4)) {
    throw new ConversionFault('INVALID_INPUT', `input/${member} is not base64`)
  }
  return withinLimit(member, bytes)
}

function withinLimit(member: string, bytes: Bytes): Bytes {
  if (bytes.length <= MAX_DOCUMENT_BYTES) return bytes
  throw limitFault(`input/${member} is ${bytes.length} bytes long, at most ${MAX_DOCUMENT_BYTES} are read`)
}

function oneOf<F extends string>(member: string, value: string, known: readonly F[]): F {
  const found = known.find((format) => format === value)
  if (found !== undefined) return found
  throw new ConversionFault('INVALID_FORMAT', `input/${member} must be ${known.join(', ')}`)
}

function pdfOptions({ page_size, title, created_at }: NonNullable<Options> = {}): PdfOptions {
  const createdMs = created_at === undefined ? undefined : Date.parse(created_at)
  if (createdMs !== undefined && !(createdMs >= 0 && createdMs <= LAST_MS)) {
    throw new ConversionFault('INVALID_INPUT', 'input/options/created_at must be from 1970 to 9999')
  }
  return { pageSize: page_size ?? 'a4', title, createdMs }
}
