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
      description: 'Makes a retry safe: the same zettel with the same id is not stored again. Default: a new ULID.',
    }),
    metadata: record('Additional data on the zettel.'),
    context: record('Origin of the zettel.'),
  },
  { additionalProperties: false },
)

export type Output = Static<typeof Output>
export const Output = Type.Object(
  {
    zettel_id: zettelId,
    storage_path: Type.String({ description: 'repository_root and relative_path, with a slash between.' }),
    repository_root: Type.String({ description: 'The name of the repository, not a path of the machine.' }),
    relative_path: Type.String({ description: 'Path of the file below the repository.' }),
    created_at: time,
    title,
    category,
    tags,
    links,
    backlinks,
  },
  { additionalProperties: false },
)
