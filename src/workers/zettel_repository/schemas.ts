// Input and output of store:zettel.
import Type, { type Static } from 'typebox'
import { backlinks, category, draftMembers, links, tags, time, title, zettelId } from '../zettel/schemas.ts'
import { LIMITS, type JsonRecord } from '../zettel/zettel.ts'

const record = (description: string) =>
  Type.Optional(
    Type.Unsafe<JsonRecord>({
      type: 'object',
      maxProperties: 256,
      description: `${description} At most ${LIMITS.recordBytes} bytes as JSON and ${LIMITS.recordDepth} levels.`,
    }),
  )

export type Input = Static<typeof Input>
export const Input = Type.Object(
  {
    ...draftMembers,
    zettel_id: Type.Optional({
      ...zettelId,
      description:
        'To store once what is sent twice: the same zettel with the same id is not stored again. Default: a new ULID.',
    }),
    metadata: record('What else is known of the zettel.'),
    context: record('Where it comes from.'),
  },
  { additionalProperties: false },
)

export type Output = Static<typeof Output>
export const Output = Type.Object(
  {
    zettel_id: zettelId,
    storage_path: Type.String({ description: 'repository_root and relative_path, with a slash between.' }),
    repository_root: Type.String({ description: 'The name of the repository: no path of the machine.' }),
    relative_path: Type.String({ description: 'Of the file, below the repository.' }),
    created_at: time,
    title,
    category,
    tags,
    links,
    backlinks,
  },
  { additionalProperties: false },
)
