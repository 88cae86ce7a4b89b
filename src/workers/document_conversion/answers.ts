// Conversion results in the form of the output schemas.
import type { Static } from 'typebox'
import type { EmailOutput, PdfOutput, TextOutput } from './schemas.ts'
import type { EmailResult, MailAttachment, PdfResult, PdfTextResult, Warning } from './task.ts'

export function pdfAnswer({ bytes, pageCount, warnings }: PdfResult, tookMs: number): Static<typeof PdfOutput> {
  return {
    converted_data: toBase64(bytes),
    target_format: 'pdf',
    page_count: pageCount,
    warnings: copied(warnings),
    conversion_time_ms: tookMs,
  }
}

export function textAnswer({ pages, pageCount, warnings }: PdfTextResult, tookMs: number): Static<typeof TextOutput> {
  return {
    converted_data: Buffer.from(pages.map(({ text }) => text).join('\f')).toString('base64'),
    target_format: 'text',
    pages: [...pages],
    page_count: pageCount,
    warnings: copied(warnings),
    conversion_time_ms: tookMs,
  }
}

export function emailAnswer(result: EmailResult, tookMs: number): Static<typeof EmailOutput> {
  return {
    // A header may be called __proto__: fromEntries treats that as an ordinary name.
    headers: Object.fromEntries(result.headers),
    body: result.body,
    body_source: result.bodySource,
    attachments: result.attachments.map(attachmentAnswer),
    message_count: result.messages,
    warnings: copied(result.warnings),
    conversion_time_ms: tookMs,
  }
}

function attachmentAnswer({ filename, contentType, disposition, contentId, bytes, content }: MailAttachment) {
  return {
    filename,
    content_type: contentType,
    disposition,
    ...(contentId === undefined ? {} : { content_id: contentId }),
    size_bytes: bytes,
    ...(content === undefined ? {} : { content: toBase64(content) }),
  }
}

function copied(warnings: readonly Warning[]): Warning[] {
  return [...warnings]
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
