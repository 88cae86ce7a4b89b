// What a zettel is, and the rules that make one from the input of a caller or a file.
import { capabilityError, type HandlerError } from '../../worker/call-error.ts'
import { withoutNoteBlock } from './note-block.ts'

/** As in the front matter of its file. `stored_by`: SPIFFE ID of the caller; only they see it unless it is `shared`. */
export type Zettel = {
  readonly zettel_id: string
  readonly title: string
  readonly category: string
  readonly tags: readonly string[]
  readonly source_agent?: string
  readonly stored_by: string
  readonly shared: boolean
  readonly created_at: string
  readonly updated_at?: string
  /** Ids that were linked by hand or with the operation `link`, besides the wiki links of the content. */
  readonly links?: readonly string[]
  readonly metadata?: JsonRecord
  readonly context?: JsonRecord
  readonly content: string
}
export type JsonRecord = Readonly<Record<string, unknown>>

/**
 * Optional members have defaults: the title is the first meaningful line of the content, the category
 * DEFAULT_CATEGORY.
 */
export type Draft = Pick<Zettel, 'content'> &
  Maybe<Pick<Zettel, 'title' | 'category' | 'tags' | 'source_agent' | 'shared' | 'metadata' | 'context'>>
type Origin = Pick<Zettel, 'zettel_id' | 'stored_by' | 'created_at'> & Maybe<Pick<Zettel, 'updated_at' | 'links'>>
type Maybe<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** In characters, for the schemas; `content` also in bytes of UTF-8. */
export const LIMITS = {
  content: 1_000_000,
  contentBytes: 4_000_000,
  title: 200,
  category: 64,
  sourceAgent: 128,
  tag: 64,
  tags: 32,
  links: 500,
  recordBytes: 16 * 1024,
  recordDepth: 8,
} as const
export const DEFAULT_CATEGORY = 'general'

const MAX_DERIVED_TITLE = 80
// In UTF-16 units from the start of the content.
const TITLE_WITHIN = 1000
const MARKS_ONLY = /^[\s\-*_=~`>|+]*$/
const UNPRINTABLE = /[\p{Cc}\u2028\u2029]+/gu

/**
 * Names are trimmed and in NFC, tags have no duplicates. @throws {HandlerError} INVALID_ZETTEL with the member and the
 * rule
 */
export function makeZettel(draft: Draft, origin: Origin): Zettel {
  const { content, shared = false } = draft
  checkContent(content)
  const tags = (draft.tags ?? []).map((tag) => line('tags', tag, LIMITS.tag))
  if (tags.length > LIMITS.tags) throw invalid(`tags: at most ${LIMITS.tags}`)
  return {
    zettel_id: origin.zettel_id,
    title: draft.title === undefined ? titleOf(content) : line('title', draft.title, LIMITS.title),
    category: line('category', draft.category ?? DEFAULT_CATEGORY, LIMITS.category),
    tags: [...new Set(tags)],
    ...(draft.source_agent !== undefined && {
      source_agent: line('source_agent', draft.source_agent, LIMITS.sourceAgent),
    }),
    stored_by: origin.stored_by,
    shared,
    created_at: origin.created_at,
    ...(origin.updated_at !== undefined && { updated_at: origin.updated_at }),
    ...(origin.links !== undefined && origin.links.length > 0 && { links: origin.links }),
    ...(draft.metadata !== undefined && { metadata: record('metadata', draft.metadata) }),
    ...(draft.context !== undefined && { context: record('context', draft.context) }),
    content,
  }
}

/** A name in the form in which it is stored and compared. */
export function tidy(name: string): string {
  return name.normalize('NFC').trim()
}

export function invalid(message: string): HandlerError {
  return capabilityError('INVALID_ZETTEL', message)
}

function checkContent(content: string): void {
  if (content.trim() === '') throw invalid('content is blank')
  if (content.includes('\0')) throw invalid('content has a NUL character')
  if (!content.isWellFormed()) throw invalid('content is not well-formed Unicode: it contains a lone surrogate')
  if (Buffer.byteLength(content) > LIMITS.contentBytes) {
    throw invalid(`content is longer than ${LIMITS.contentBytes} bytes`)
  }
}

/** Whether a tidied text can be a name of at most `maxLength` characters. */
export function isName(name: string, maxLength: number): boolean {
  return name !== '' && isPrintable(name) && Array.from(name).length <= maxLength
}

function isPrintable(name: string): boolean {
  return name.isWellFormed() && name.search(UNPRINTABLE) < 0
}

function line(member: string, text: string, maxLength: number): string {
  const name = tidy(text)
  if (name === '') throw invalid(`${member} is blank`)
  if (!isPrintable(name)) throw invalid(`${member} has a character that is not printable`)
  if (Array.from(name).length > maxLength) throw invalid(`${member} is longer than ${maxLength} characters`)
  return name
}

// The first meaningful line, without the marks of a Markdown heading. The front matter of a note is skipped, and so is
// a line of marks only: a rule, a code fence, a bare bullet.
function titleOf(content: string): string {
  const lines = withoutNoteBlock(content)
    .trimStart()
    .slice(0, TITLE_WITHIN)
    .toWellFormed()
    .split(/[\n\r\u2028\u2029]/)
  for (const line of lines) {
    const name = tidy(line.replaceAll(UNPRINTABLE, ' ').replace(/^\s*#+/, ''))
    if (MARKS_ONLY.test(name)) continue
    const characters = Array.from(name)
    if (characters.length > MAX_DERIVED_TITLE) return `${characters.slice(0, MAX_DERIVED_TITLE).join('').trim()}…`
    if (characters.length > 0) return name
  }
  return 'Untitled'
}

function record(member: string, value: JsonRecord): JsonRecord {
  checkValue(member, value, 1)
  if (Buffer.byteLength(JSON.stringify(value)) > LIMITS.recordBytes) {
    throw invalid(`${member} is longer than ${LIMITS.recordBytes} bytes as JSON`)
  }
  return value
}

function checkValue(member: string, value: unknown, depth: number): void {
  if (depth > LIMITS.recordDepth + 1) throw invalid(`${member} is deeper than ${LIMITS.recordDepth} levels`)
  if (typeof value === 'string' && !value.isWellFormed()) throw invalid(`${member} is not well-formed Unicode`)
  // JSON allows 1e999, which parses to Infinity.
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid(`${member} has a number out of range`)
  if (typeof value !== 'object' || value === null) return
  const prototype: unknown = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype) throw invalid(`${member} is not plain JSON`)
  for (const [key, inner] of Object.entries(value)) {
    if (!key.isWellFormed()) throw invalid(`${member} is not well-formed Unicode`)
    checkValue(member, inner, depth + 1)
  }
}
