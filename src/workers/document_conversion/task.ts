// Messages between the worker and a thread: plain data, since it crosses threads.

export type TextFormat = 'text' | 'markdown' | 'html'
export type SourceFormat = TextFormat | 'docx'
type PageSize = 'a4' | 'letter'
/** `createdMs`: milliseconds since 1970, for the document's creation date; undefined: no date. */
export type PdfOptions = {
  readonly pageSize: PageSize
  readonly title: string | undefined
  readonly createdMs: number | undefined
}

type Bytes = Uint8Array<ArrayBuffer>
export type ToPdfTask = {
  readonly kind: 'to_pdf'
  readonly format: SourceFormat
  readonly bytes: Bytes
  readonly options: PdfOptions
}
/** Pages are counted from 1; `lastPage` undefined: to the end. */
export type PdfToTextTask = {
  readonly kind: 'pdf_to_text'
  readonly bytes: Bytes
  readonly firstPage: number
  readonly lastPage: number | undefined
}
/** `message`: number of the mail in an mbox, from 1. */
export type EmailTask = {
  readonly kind: 'email_to_text'
  readonly bytes: Bytes
  readonly extractAttachments: boolean
  readonly message: number | undefined
}
export type ConvertTask = ToPdfTask | PdfToTextTask | EmailTask

/** `places`: the first few places; the last one may say how many more there are. */
export type Warning = {
  readonly code: WarningCode
  readonly message: string
  readonly count: number
  readonly places?: string[]
}
export type WarningCode =
  | 'CHARACTERS_REPLACED'
  | 'IMAGES_DROPPED'
  | 'ACTIVE_CONTENT_DROPPED'
  | 'REMOTE_CONTENT_DROPPED'
  | 'CONTENT_DROPPED'
  | 'CONTENT_SIMPLIFIED'
  | 'NO_TEXT'
  | 'DAMAGED'

export type PdfResult = {
  readonly bytes: Bytes
  readonly pageCount: number
  readonly warnings: readonly Warning[]
}
export type PageText = { readonly page: number; readonly text: string }
export type PdfTextResult = {
  readonly pages: readonly PageText[]
  readonly pageCount: number
  readonly warnings: readonly Warning[]
}
export type BodySource = 'text' | 'html' | 'none'
export type MailAttachment = {
  readonly filename: string | null
  readonly contentType: string
  readonly disposition: 'attachment' | 'inline'
  readonly contentId: string | undefined
  readonly bytes: number
  readonly content: Bytes | undefined
}
/**
 * `headers`: lower-case name and decoded value, one pair per name. `messages`: mails in the mbox, 1 for a single mail.
 */
export type EmailResult = {
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
  readonly bodySource: BodySource
  readonly attachments: readonly MailAttachment[]
  readonly messages: number
  readonly warnings: readonly Warning[]
}

type ResultOf = { to_pdf: PdfResult; pdf_to_text: PdfTextResult; email_to_text: EmailResult }
export type ConvertResult<T extends ConvertTask> = ResultOf[T['kind']]
/** Converts one document. @throws {ConversionFault} when the document is at fault */
export type Convert = <T extends ConvertTask>(task: T, signal: AbortSignal) => Promise<ConvertResult<T>>

export type FaultCode =
  'INVALID_INPUT' | 'INVALID_FORMAT' | 'CORRUPT_DOCUMENT' | 'INVALID_EMAIL' | 'LIMIT_EXCEEDED' | 'CONVERSION_TIMEOUT'

/** The document is at fault, or the node is too busy (CONVERSION_TIMEOUT). `code` and `message` are for the caller. */
export class ConversionFault extends Error {
  override readonly name = 'ConversionFault'
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export function limitFault(message: string, options?: ErrorOptions): ConversionFault {
  return new ConversionFault('LIMIT_EXCEEDED', message, options)
}
