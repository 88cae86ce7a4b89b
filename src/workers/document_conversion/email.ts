// Mail to text: decoded headers, the body as text, and the attachments. Nothing that a mail refers to is loaded.
import PostalMime, { decodeWords, type Attachment, type Email } from 'postal-mime'
import { blocksToText } from './blocks-text.ts'
import { htmlToBlocks } from './html-blocks.ts'
import { MAX_ATTACHMENTS, MAX_HEADER_BYTES, MAX_MIME_DEPTH, MAX_TEXT_CHARACTERS } from './limits.ts'
import { splitMbox } from './mbox.ts'
import { ConversionFault, limitFault, type BodySource, type EmailResult, type EmailTask } from './task.ts'
import type { MailAttachment } from './task.ts'
import type { Warnings } from './warnings.ts'

/** A text with at least one of these headers is a mail. */
const TELLING = new Set('from to cc subject date message-id received return-path sender delivered-to'.split(' '))
const FIELD_NAME = /^[!-9;-~]{1,128}$/

/** @throws {ConversionFault} INVALID_EMAIL, INVALID_INPUT (no such message), LIMIT_EXCEEDED */
export async function emailToText(task: EmailTask, warnings: Warnings): Promise<EmailResult> {
  const { mail, messages } = chooseMail(task)
  const email = await parse(mail)
  const headers = headersOf(email)
  if (!headers.some(([name]) => TELLING.has(name))) {
    throw new ConversionFault('INVALID_EMAIL', 'raw_email is not a mail: it has no header such as From, To or Subject')
  }
  if (email.attachments.length > MAX_ATTACHMENTS) {
    throw limitFault(`the mail has ${email.attachments.length} attachments, at most ${MAX_ATTACHMENTS} are read`)
  }
  const { body, bodySource } = bodyOf(email, warnings)
  if (body.length > MAX_TEXT_CHARACTERS) throw limitFault(`the body is longer than ${MAX_TEXT_CHARACTERS} characters`)
  const attachments = email.attachments.map((one) => attachmentOf(one, task.extractAttachments))
  return { headers, body, bodySource, attachments, messages, warnings: warnings.list() }
}

function chooseMail({ bytes, message }: EmailTask): { mail: Buffer; messages: number } {
  const mails = splitMbox(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'))
  // Taking the first of several would silently lose the others.
  if (mails.length > 1 && message === undefined) {
    throw new ConversionFault(
      'INVALID_EMAIL',
      `raw_email is an mbox of ${mails.length} mails: choose one with \`message\``,
    )
  }
  const mail = mails[(message ?? 1) - 1]
  if (mail === undefined) {
    throw new ConversionFault('INVALID_INPUT', `there is no message ${message ?? 1} of ${mails.length}`)
  }
  return { mail: Buffer.from(mail, 'latin1'), messages: mails.length }
}

async function parse(mail: Buffer): Promise<Email> {
  try {
    return await PostalMime.parse(mail, {
      attachmentEncoding: 'arraybuffer',
      maxNestingDepth: MAX_MIME_DEPTH,
      maxHeadersSize: MAX_HEADER_BYTES,
    })
  } catch (cause: unknown) {
    // The library throws plain errors only for its two limits.
    if (cause instanceof Error && /^Maximum (MIME nesting|header size)/.test(cause.message)) {
      throw limitFault(
        `the mail has more than ${MAX_HEADER_BYTES} bytes of headers, or parts nested deeper than ${MAX_MIME_DEPTH}`,
        { cause },
      )
    }
    throw cause
  }
}

// Values of a repeated header, such as Received, are joined with line breaks.
function headersOf({ headers }: Email): [name: string, value: string][] {
  const values = new Map<string, string>()
  for (const { key, value } of headers) {
    if (!FIELD_NAME.test(key)) continue
    const decoded = oneLine(decodeWords(value))
    const before = values.get(key)
    values.set(key, before === undefined ? decoded : `${before}\n${decoded}`)
  }
  return [...values]
}

// An encoded word may contain a line break, which would look like another header.
function oneLine(value: string): string {
  return value
    .toWellFormed()
    .replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')
    .trim()
}

function bodyOf({ text = '', html = '' }: Email, warnings: Warnings): { body: string; bodySource: BodySource } {
  const plain = readable(text)
  if (plain !== '') return { body: plain, bodySource: 'text' }
  const { blocks } = htmlToBlocks(html, warnings)
  // Text shows no pictures: only their names remain.
  const pictures = blocks.filter(({ kind }) => kind === 'picture').length
  if (pictures > 0) warnings.add('IMAGES_DROPPED', { count: pictures })
  const fromHtml = readable(blocksToText(blocks))
  return fromHtml === '' ? { body: '', bodySource: 'none' } : { body: fromHtml, bodySource: 'html' }
}

function readable(text: string): string {
  return text.toWellFormed().replaceAll('\r\n', '\n').replaceAll('\0', '').trim()
}

function attachmentOf(attachment: Attachment, extract: boolean): MailAttachment {
  const { content, mimeType, disposition, contentId, filename } = attachment
  const bytes = typeof content === 'string' ? new Uint8Array(Buffer.from(content)) : new Uint8Array(content)
  return {
    filename: filename === null ? null : oneLine(filename).slice(0, 255),
    contentType: oneLine(mimeType).slice(0, 255),
    disposition: disposition === 'inline' ? 'inline' : 'attachment',
    contentId: contentId === undefined ? undefined : oneLine(contentId).slice(0, 255),
    bytes: bytes.byteLength,
    content: extract ? bytes : undefined,
  }
}
