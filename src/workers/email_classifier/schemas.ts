// Inputs, outputs and errors of the two capabilities.
import Type, { type Static } from 'typebox'
import type { ErrorDeclaration } from '../../worker/define.ts'
import { MAX_EVIDENCE, METHODS } from './judgement.ts'
import { MAX_ANALYSED_CHARACTERS, MAX_CONTENT_BYTES, MAX_CONTENT_LENGTH, MAX_SUBJECT_LENGTH } from './limits.ts'

const closed = { additionalProperties: false } as const

/** Types of email_category. Spam is not among them: access to it is decided separately. */
const CATEGORY_TYPES = ['category', 'bill', 'receipt', 'sentiment', 'priority', 'language'] as const
const SPAM_TYPES = ['spam'] as const
export type ClassificationType = (typeof CATEGORY_TYPES)[number] | (typeof SPAM_TYPES)[number]

const mail = {
  email_content: Type.String({
    minLength: 1,
    maxLength: MAX_CONTENT_LENGTH,
    description: `The text of the mail (plain or HTML), or the whole mail as it was sent (RFC 5322); at most ${MAX_CONTENT_BYTES} bytes.`,
  }),
  content_format: Type.Optional(
    Type.Enum(['auto', 'text', 'message', 'message_base64'], {
      default: 'auto',
      description:
        'What email_content is. auto: a message if it starts with headers and an empty line, else text. message_base64 keeps the bytes of a message that is not in UTF-8.',
    }),
  ),
  subject: Type.Optional(
    Type.String({ maxLength: MAX_SUBJECT_LENGTH, description: 'Default: the subject header of the message.' }),
  ),
}

export const CategoryInput = Type.Object(
  {
    ...mail,
    classification_types: Type.Array(Type.Enum(CATEGORY_TYPES), {
      minItems: 1,
      uniqueItems: true,
      description: 'What to classify; the results are in this order.',
    }),
  },
  closed,
)
export const SpamInput = Type.Object(
  { ...mail, classification_types: Type.Array(Type.Enum(SPAM_TYPES), { minItems: 1, uniqueItems: true }) },
  closed,
)
/** Members that both inputs share. */
export type Input = Omit<Static<typeof CategoryInput>, 'classification_types'> & {
  readonly classification_types: readonly ClassificationType[]
}

const judged = {
  value: Type.String({ description: 'One of the values of the type; unknown when it abstains.' }),
  confidence: Type.Number({ minimum: 0, maximum: 1 }),
  abstained: Type.Boolean({ description: 'Whether the confidence is below the threshold of the type.' }),
  method: Type.Enum(METHODS, {
    description:
      'model: the confidence is a probability, fitted by cross-validation on the training texts. Other methods: how clear the signs are.',
  }),
  evidence: Type.Array(Type.String(), {
    maxItems: MAX_EVIDENCE,
    description: 'Evidence for the value: words of the mail and names of rules.',
  }),
}
const about = {
  analysis: Type.Object(
    {
      source: Type.Enum(['text', 'message'], { description: 'message: read by convert:email_to_text.' }),
      characters: Type.Integer({ minimum: 0, description: 'Characters of the body that were analysed.' }),
      truncated: Type.Boolean({
        description: `Whether the body is longer than the ${MAX_ANALYSED_CHARACTERS} characters that are analysed.`,
      }),
    },
    closed,
  ),
  processing_time_ms: Type.Number({ minimum: 0 }),
}

export const CategoryOutput = Type.Object(
  {
    classifications: Type.Array(Type.Object({ type: Type.Enum(CATEGORY_TYPES), ...judged }, closed)),
    ...about,
  },
  closed,
)
export const SpamOutput = Type.Object(
  { classifications: Type.Array(Type.Object({ type: Type.Enum(SPAM_TYPES), ...judged }, closed)), ...about },
  closed,
)

export const errors = {
  INVALID_INPUT: {
    description: 'The input does not fit the schema, or the message cannot be read.',
    retryable: false,
    status: 400,
  },
  LIMIT_EXCEEDED: {
    description: 'The mail is beyond a limit of size or structure; the message names it.',
    retryable: false,
    status: 413,
  },
  CLASSIFIER_UNAVAILABLE: {
    description:
      'convert:email_to_text, which reads messages, refused or is not available. Text is classified without it.',
    retryable: true,
    status: 503,
  },
  CLASSIFICATION_FAILED: {
    description: 'convert:email_to_text returned an invalid answer.',
    retryable: false,
    status: 500,
  },
} as const satisfies Record<string, ErrorDeclaration>
