// The members of a zettel in the inputs and outputs of both workers.
import Type from 'typebox'
import { ZETTEL_ID } from './names.ts'
import { MAX_BACKLINKS } from './reading.ts'
import { DEFAULT_CATEGORY, LIMITS } from './zettel.ts'

// One line of printable text, not blank, without lone surrogates.
const LINE = '^(?=.*\\S)[^\\p{Cc}\\p{Cs}\\u2028\\u2029]+$'
const TITLE = 'Title. Wiki links find the zettel by it or by its id.'
const CATEGORY = 'Category; each zettel has one.'
const line = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: LINE, description })

export const zettelId = Type.String({
  pattern: ZETTEL_ID,
  description: 'A ULID, or the id that was given. Case does not matter.',
})
export const title = line(LIMITS.title, TITLE)
export const category = line(LIMITS.category, CATEGORY)
export const sourceAgent = line(LIMITS.sourceAgent, 'The author that the caller gives; not checked.')
export const tags = Type.Array(line(LIMITS.tag, 'A tag.'), { maxItems: LIMITS.tags, uniqueItems: true })
export const time = Type.String({ format: 'date-time' })
export const query = line(500, 'Words that must all occur; there are no operators.')

/** Input members for storing a zettel. */
export const draftMembers = {
  content: Type.String({
    minLength: 1,
    maxLength: LIMITS.content,
    description: `Markdown or plain text, kept as it is, at most ${LIMITS.contentBytes} bytes. [[…]] links to the zettels of that title or id.`,
  }),
  title: Type.Optional(
    line(LIMITS.title, `${TITLE} Default: the title of the content's own front matter, else its first line.`),
  ),
  category: Type.Optional(line(LIMITS.category, `${CATEGORY} Default: ${DEFAULT_CATEGORY}.`)),
  tags: Type.Optional({ ...tags, description: "The tags of the content's own front matter are added." }),
  source_agent: Type.Optional(sourceAgent),
}

/** A link and its targets. */
export const links = Type.Array(
  Type.Object(
    {
      target: Type.String({ description: 'The target as written.' }),
      zettel_ids: Type.Array(zettelId, { description: 'The zettels of this id or title that the caller may see.' }),
    },
    { additionalProperties: false },
  ),
  { description: 'The wiki links of the content and the links that were added, in their order.' },
)
export const backlinks = Type.Array(zettelId, {
  maxItems: MAX_BACKLINKS,
  description: `Zettels that link to it and that the caller may see, newest first, at most ${MAX_BACKLINKS}.`,
})
