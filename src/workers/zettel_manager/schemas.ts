// Input and output of manage:sonnet_zettel: one object for each operation.
import Type, { type Static, type TObject } from 'typebox'
import * as part from '../zettel/schemas.ts'
import { LIMITS } from '../zettel/zettel.ts'

const closed = { additionalProperties: false } as const
const shared = Type.Boolean({ description: 'Whether every caller may read it and link to it, or only its owner.' })
const filter = {
  category: Type.Optional(part.category),
  source_agent: Type.Optional(part.sourceAgent),
  tags: Type.Optional({ ...part.tags, description: 'A zettel must have all of these.' }),
}
const page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 })),
}

const inputs = {
  store: Type.Object(
    {
      operation: Type.Literal('store'),
      ...part.draftMembers,
      shared: Type.Optional({ ...shared, default: false }),
    },
    closed,
  ),
  retrieve: Type.Object({ operation: Type.Literal('retrieve'), zettel_id: part.zettelId }, closed),
  list: Type.Object({ operation: Type.Literal('list'), ...filter, ...page }, closed),
  search: Type.Object(
    {
      operation: Type.Literal('search'),
      query: part.query,
      ...filter,
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 10 })),
    },
    closed,
  ),
  link: Type.Object({ operation: Type.Literal('link'), zettel_id: part.zettelId, target_id: part.zettelId }, closed),
  backlinks: Type.Object({ operation: Type.Literal('backlinks'), zettel_id: part.zettelId, ...page }, closed),
}

type Operation = keyof typeof inputs
export type Inputs = { readonly [O in Operation]: Static<(typeof inputs)[O]> }
export type Input = Inputs[Operation]
export const Input = byOperation<Input>(inputs)

const card = {
  zettel_id: part.zettelId,
  title: part.title,
  category: part.category,
  tags: part.tags,
  source_agent: Type.Optional(part.sourceAgent),
  stored_by: Type.String({ description: 'SPIFFE ID of the caller who stored it.' }),
  shared,
  created_at: part.time,
  updated_at: Type.Optional(part.time),
}
const Card = Type.Object(card, closed)
const around = { links: part.links, backlinks: part.backlinks }
const total = Type.Integer({ minimum: 0, description: 'Total without limit and offset.' })
const cards = Type.Object({ zettels: Type.Array(Card), total }, closed)

const Data = Type.Union([
  Type.Object({ zettel: Card, ...around }, { ...closed, description: 'store' }),
  Type.Object(
    { zettel: Type.Object({ ...card, content: Type.String() }, closed), ...around },
    { ...closed, description: 'retrieve' },
  ),
  { ...cards, description: 'list, backlinks' },
  Type.Object(
    {
      hits: Type.Array(
        Type.Object({ ...card, snippet: Type.String({ description: 'The matching part of the content.' }) }, closed),
      ),
    },
    { ...closed, description: 'search: best match first' },
  ),
  Type.Object(
    { target_id: part.zettelId, added: Type.Boolean({ description: 'False: it was already linked.' }) },
    { ...closed, description: `link; at most ${LIMITS.links} for each zettel` },
  ),
])

export type Output = Static<typeof Output>
export const Output = Type.Object(
  {
    success: Type.Literal(true),
    zettel_id: Type.Optional(part.zettelId),
    message: Type.String(),
    data: Data,
  },
  closed,
)

/**
 * One of several closed objects, chosen by `operation`. Not a `oneOf`: its error messages for an invalid input would
 * be about the other operations.
 */
function byOperation<T>(schemas: Readonly<Record<string, TObject>>) {
  const operation = { type: 'string', enum: Object.keys(schemas) }
  return Type.Unsafe<T>({
    type: 'object',
    allOf: [
      { required: ['operation'], properties: { operation } },
      ...Object.entries(schemas).map(([name, schema]) => ({
        if: { properties: { operation: { const: name } } },
        then: schema,
      })),
    ],
  })
}
