// Inputs and outputs of search:semantic_documents per operation, and its errors.
import Type, { type Static, type TSchema } from 'typebox'
import type { ErrorDeclaration } from '../../worker/define.ts'
import {
  MAX_ATTRIBUTES,
  MAX_DOCUMENTS_PER_CALL,
  MAX_IDS_PER_CALL,
  MAX_K,
  MAX_QUERY_LENGTH,
  MAX_TEXT_LENGTH,
} from './limits.ts'

export const DEFAULT_K = 5

const closed = { additionalProperties: false } as const
const count = (description: string) => Type.Integer({ minimum: 0, description })

// No control characters and no lone surrogates: they would not be returned as they were given.
const documentId = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern: '^[^\\p{Cc}\\p{Cs}]*$',
  description: 'Name of the document, unique per caller.',
})
const Attributes = (description: string, maxProperties: number) =>
  Type.Record(
    Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
    Type.Union([Type.String({ maxLength: 1_000 }), Type.Number(), Type.Boolean()]),
    { ...closed, maxProperties, description },
  )

export type Document = Static<typeof Document>
const Document = Type.Object(
  {
    id: documentId,
    text: Type.String({ minLength: 1, maxLength: MAX_TEXT_LENGTH }),
    metadata: Type.Optional(Attributes('Returned with each hit, and usable as a filter.', MAX_ATTRIBUTES)),
  },
  closed,
)

const IndexInput = Type.Object(
  {
    operation: Type.Literal('index'),
    documents: Type.Array(Document, {
      minItems: 1,
      maxItems: MAX_DOCUMENTS_PER_CALL,
      description: 'Each replaces the document with the same id of this caller. All are stored, or none.',
    }),
  },
  closed,
)
const SearchInput = Type.Object(
  {
    operation: Type.Literal('search'),
    query: Type.String({ minLength: 1, maxLength: MAX_QUERY_LENGTH, description: 'Plain words: there is no syntax.' }),
    k: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_K, default: DEFAULT_K, description: 'Maximum number of hits.' }),
    ),
    filter: Type.Optional(Attributes('Only documents whose metadata has all of these, of the same type.', 8)),
  },
  closed,
)
const DeleteInput = Type.Object(
  {
    operation: Type.Literal('delete'),
    ids: Type.Array(documentId, { minItems: 1, maxItems: MAX_IDS_PER_CALL }),
  },
  closed,
)

export type Request = Static<typeof Input>
export type SearchRequest = Static<typeof SearchInput>
export const Input = oneOperation([IndexInput, SearchInput, DeleteInput])

export type Why = Static<typeof Why>
const Why = Type.Object(
  {
    summary: Type.String({ description: 'The other members as a sentence.' }),
    matched_terms: Type.Array(Type.String(), { description: 'Words of the query that the document contains.' }),
    related_terms: Type.Array(Type.String(), {
      description: 'Other words of the document that make it similar to the query.',
    }),
    lexical_rank: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Rank in the word search; absent: not found.' }),
    ),
    semantic_rank: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Rank in the vector search; absent: not similar.' }),
    ),
    semantic_similarity: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Cosine.' })),
    semantic_share: Type.Number({ minimum: 0, maximum: 1, description: 'Part of the score from the vector search.' }),
  },
  closed,
)
export type Hit = Static<typeof Hit>
const Hit = Type.Object(
  {
    id: documentId,
    score: Type.Number({ minimum: 0, maximum: 1, description: '1: first in both searches.' }),
    snippet: Type.String({ description: 'Plain text of the document.' }),
    highlights: Type.Array(
      Type.Object({ start: count('First code unit.'), end: count('Code unit after the last.') }, closed),
      { description: 'Positions in the snippet.' },
    ),
    why: Why,
    metadata: Attributes('As it was indexed.', MAX_ATTRIBUTES),
  },
  closed,
)

const IndexOutput = Type.Object(
  {
    operation: Type.Literal('index'),
    indexed: count('Number of documents in this call.'),
    replaced: count('Number of them that replaced a document.'),
    documents: count('Documents that the caller now keeps.'),
  },
  closed,
)
const SearchOutput = Type.Object(
  {
    operation: Type.Literal('search'),
    hits: Type.Array(Hit, { maxItems: MAX_K }),
    documents: count('Documents that the caller keeps.'),
    semantic: Type.Enum(['ready', 'catching_up', 'off'], {
      description:
        'ready: the vectors are trained on exactly these documents. catching_up: on an older state of them, or not ' +
        'yet. off: too few documents for training.',
    }),
  },
  closed,
)
const DeleteOutput = Type.Object(
  {
    operation: Type.Literal('delete'),
    deleted: count('Number of ids that existed.'),
    documents: count('Documents that the caller now keeps.'),
  },
  closed,
)

export type Result = Static<typeof Output>
export type SearchResult = Static<typeof SearchOutput>
export const Output = oneOperation([IndexOutput, SearchOutput, DeleteOutput])

export const errors = {
  INVALID_INPUT: {
    description: 'The input does not fit the schema, or contains a duplicate id.',
    retryable: false,
    status: 400,
  },
  LIMIT_EXCEEDED: {
    description: 'More text, words or documents than one call or one caller may have; the message names the limit.',
    retryable: false,
    status: 413,
  },
  INDEX_UNAVAILABLE: {
    description: 'The index cannot be read or written at the moment.',
    retryable: true,
    status: 503,
  },
} as const satisfies Record<string, ErrorDeclaration>

/** A union discriminated by `operation`: a oneOf with a type, which a capability's schema requires. */
function oneOperation<S extends TSchema[]>(schemas: [...S]) {
  return Type.Unsafe<Static<S[number]>>({ type: 'object', required: ['operation'], oneOf: schemas })
}
