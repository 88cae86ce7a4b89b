// Inputs, outputs and errors of the four capabilities.
import Type from 'typebox'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { MAX_PLACES } from './warnings.ts'
import { MAX_BASE64_LENGTH, MAX_DOCUMENT_BYTES, MAX_PAGES } from './limits.ts'

const closed = { additionalProperties: false } as const

const documentData = Type.String({
  minLength: 1,
  maxLength: MAX_BASE64_LENGTH,
  contentEncoding: 'base64',
  description: `The document in base64, without line breaks; at most ${MAX_DOCUMENT_BYTES} bytes when decoded.`,
})
const format = (description: string) => Type.String({ minLength: 1, maxLength: 32, description })
const toPdf = Type.Optional(format('pdf, which is the default.'))
const convertedData = Type.String({ contentEncoding: 'base64' })
const conversionTimeMs = Type.Number({ minimum: 0 })
const count = Type.Integer({ minimum: 0 })
const pageCount = Type.Integer({ minimum: 1 })
const page = Type.Integer({ minimum: 1, maximum: 1_000_000 })

const Options = Type.Object(
  {
    page_size: Type.Optional(Type.Union([Type.Literal('a4'), Type.Literal('letter')], { default: 'a4' })),
    title: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Title of the PDF; default: the title of the HTML.' }),
    ),
    created_at: Type.Optional(
      Type.String({
        format: 'date-time',
        maxLength: 64,
        description:
          'Creation date of the PDF. Without it the PDF has no date, and the same input gives the same bytes.',
      }),
    ),
  },
  closed,
)

const Warnings = Type.Array(
  Type.Object(
    {
      code: Type.Enum([
        'CHARACTERS_REPLACED',
        'IMAGES_DROPPED',
        'ACTIVE_CONTENT_DROPPED',
        'REMOTE_CONTENT_DROPPED',
        'CONTENT_DROPPED',
        'CONTENT_SIMPLIFIED',
        'NO_TEXT',
        'DAMAGED',
      ]),
      message: Type.String(),
      count: Type.Integer({ minimum: 1 }),
      places: Type.Optional(
        Type.Array(Type.String({ maxLength: 200 }), {
          minItems: 1,
          maxItems: MAX_PLACES + 1,
          description: 'The first places, by the text before them or by page; the last item may be: and 7 more.',
        }),
      ),
    },
    closed,
  ),
  {
    description:
      'What was left out or changed, one item for each kind. Empty: only fonts, sizes, colours and positions were.',
  },
)

export const DocumentInput = Type.Object(
  {
    document_data: documentData,
    source_format: format('text, markdown, html or docx.'),
    target_format: toPdf,
    options: Type.Optional(Options),
  },
  closed,
)
export const HtmlInput = Type.Object(
  {
    document_data: documentData,
    source_format: Type.Optional(format('html, which is the default.')),
    target_format: toPdf,
    options: Type.Optional(Options),
  },
  closed,
)
export const PdfOutput = Type.Object(
  {
    converted_data: convertedData,
    target_format: Type.Literal('pdf'),
    page_count: pageCount,
    warnings: Warnings,
    conversion_time_ms: conversionTimeMs,
  },
  closed,
)

export const PdfInput = Type.Object(
  {
    document_data: documentData,
    source_format: Type.Optional(format('pdf, which is the default.')),
    target_format: Type.Optional(format('text, which is the default.')),
    first_page: Type.Optional(page),
    last_page: Type.Optional(page),
  },
  { ...closed, description: `At most ${MAX_PAGES} pages are read in one call.` },
)
export const TextOutput = Type.Object(
  {
    converted_data: Type.String({
      contentEncoding: 'base64',
      description: 'The text of the pages in UTF-8, separated by form feeds.',
    }),
    target_format: Type.Literal('text'),
    pages: Type.Array(Type.Object({ page: pageCount, text: Type.String() }, closed)),
    page_count: Type.Integer({ minimum: 1, description: 'Pages of the whole document.' }),
    warnings: Warnings,
    conversion_time_ms: conversionTimeMs,
  },
  closed,
)

export const EmailInput = Type.Object(
  {
    raw_email: Type.String({
      minLength: 1,
      maxLength: MAX_BASE64_LENGTH,
      description: `The mail as it was sent (RFC 5322), or an mbox; at most ${MAX_DOCUMENT_BYTES} bytes.`,
    }),
    encoding: Type.Optional(
      Type.Union([Type.Literal('text'), Type.Literal('base64')], {
        default: 'text',
        description: 'How raw_email is written. base64 keeps the bytes of a mail that is not in UTF-8.',
      }),
    ),
    extract_attachments: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether attachments come with their content.' }),
    ),
    message: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Number of the mail in an mbox with several.' }),
    ),
  },
  closed,
)
export const EmailOutput = Type.Object(
  {
    headers: Type.Record(Type.String(), Type.String(), {
      description: 'Decoded headers by lower-case name. Values of a repeated header are separated by line breaks.',
    }),
    body: Type.String(),
    body_source: Type.Union([Type.Literal('text'), Type.Literal('html'), Type.Literal('none')]),
    attachments: Type.Array(
      Type.Object(
        {
          filename: Type.Union([Type.String(), Type.Null()]),
          content_type: Type.String(),
          disposition: Type.Union([Type.Literal('attachment'), Type.Literal('inline')]),
          content_id: Type.Optional(Type.String()),
          size_bytes: count,
          content: Type.Optional(Type.String({ contentEncoding: 'base64' })),
        },
        closed,
      ),
    ),
    message_count: Type.Integer({ minimum: 1, description: 'Mails in the mbox; 1 for a single mail.' }),
    warnings: Warnings,
    conversion_time_ms: conversionTimeMs,
  },
  closed,
)

const common = {
  INVALID_INPUT: { description: 'The input does not fit the schema.', retryable: false, status: 400 },
  LIMIT_EXCEEDED: {
    description: 'The document is beyond a limit of size, pages, nesting, CPU time or memory; the message names it.',
    retryable: false,
    status: 413,
  },
  CONVERSION_TIMEOUT: {
    description: 'The node is too busy: the conversion did not end in time and may be retried.',
    retryable: true,
    status: 503,
  },
} as const satisfies Record<string, ErrorDeclaration>

export const documentErrors = {
  ...common,
  INVALID_FORMAT: {
    description: 'The format is not supported, or the document is not in the given format.',
    retryable: false,
    status: 415,
  },
  CORRUPT_DOCUMENT: { description: 'The document is damaged or encrypted.', retryable: false, status: 422 },
  CONVERSION_FAILED: {
    description: 'The conversion failed; the input is not the cause.',
    retryable: true,
    status: 500,
  },
} as const satisfies Record<string, ErrorDeclaration>

export const emailErrors = {
  ...common,
  INVALID_EMAIL: {
    description: 'The input is not a mail, or it is an mbox with several mails and none is chosen.',
    retryable: false,
    status: 422,
  },
  PARSING_FAILED: { description: 'Reading the mail failed; the mail is not the cause.', retryable: true, status: 500 },
} as const satisfies Record<string, ErrorDeclaration>
