// The file of a zettel: YAML 1.2 front matter between two `---` lines, then the content unchanged. It is parsed without
// custom tags and aliases, so the length of a file bounds the cost of reading it.
import { isMap, isScalar, isSeq, parseDocument, stringify, type Document } from 'yaml'
import { LIMITS, invalid, makeZettel, type JsonRecord, type Zettel } from './zettel.ts'
import { ZETTEL_ID } from './names.ts'

export const MAX_FRONT_MATTER = 128 * 1024
/** Bytes. */
export const MAX_FILE = LIMITS.contentBytes + 4 * MAX_FRONT_MATTER

const WRITE = { version: '1.2', schema: 'core', lineWidth: 0, blockQuote: false, aliasDuplicateObjects: false } as const
const READ = { version: '1.2', schema: 'core', strict: true, resolveKnownTags: false, prettyErrors: false } as const

/** @throws {HandlerError} INVALID_ZETTEL when the front matter gets too long */
export function formatZettel({ content, ...frontMatter }: Zettel): string {
  return join(stringify(frontMatter, WRITE), content)
}

/**
 * Parses a file, even if it was written or edited by hand: extra members, numbers as titles, CRLF, no title.
 * @throws {HandlerError} INVALID_ZETTEL with the reason
 */
export function parseZettel(text: string): Zettel {
  const { yaml, content } = split(text)
  const document = parseYaml(yaml)
  const optional = {
    title: textAt(document, 'title'),
    category: textAt(document, 'category'),
    source_agent: textAt(document, 'source_agent'),
    metadata: recordAt(document, 'metadata'),
    context: recordAt(document, 'context'),
  }
  return makeZettel(
    { ...optional, tags: textsAt(document, 'tags'), shared: document.get('shared') === true, content },
    {
      zettel_id: matching(document, 'zettel_id', new RegExp(ZETTEL_ID)),
      stored_by: matching(document, 'stored_by', /^spiffe:\/\/[\x21-\x7e]{1,2048}$/),
      created_at: timeAt(document, 'created_at') ?? required('created_at'),
      updated_at: timeAt(document, 'updated_at'),
      links: textsAt(document, 'links').slice(0, LIMITS.links),
    },
  )
}

/** Adds a link to the text of a file; the rest of its front matter is kept. @throws {HandlerError} INVALID_ZETTEL */
export function addLink(text: string, target: string, updatedAt: string): string {
  const { yaml, content } = split(text)
  const document = parseYaml(yaml)
  const links = textsAt(document, 'links')
  if (links.length >= LIMITS.links) throw invalid(`links: at most ${LIMITS.links}`)
  document.set('links', [...links, target])
  document.set('updated_at', updatedAt)
  return join(document.toString(WRITE), content)
}

function join(yaml: string, content: string): string {
  if (yaml.length > MAX_FRONT_MATTER) throw invalid(`front matter is longer than ${MAX_FRONT_MATTER} characters`)
  return `---\n${yaml}---\n${content}`
}

function split(text: string): { yaml: string; content: string } {
  const start = /^---\r?\n/.exec(text)?.[0].length
  if (start === undefined) throw invalid('the file has no front matter')
  const head = text.slice(0, start + MAX_FRONT_MATTER + 8)
  const end = /(?<=\n)---[ \t]*(?:\r?\n|$)/g
  end.lastIndex = start
  const found = end.exec(head)
  if (found === null) throw invalid(`the front matter does not end within ${MAX_FRONT_MATTER} characters`)
  return { yaml: text.slice(start, found.index), content: text.slice(found.index + found[0].length) }
}

function parseYaml(yaml: string): Document {
  const document = attempt(() => parseDocument(yaml, READ))
  if (document.errors.length > 0 || document.warnings.length > 0) throw invalid('the front matter is not plain YAML')
  if (!isMap(document.contents)) throw invalid('the front matter has no members')
  // Every alias is an error here.
  attempt(() => document.toJS({ maxAliasCount: 0 }) as unknown)
  return document
}

// The parser throws various errors, including stack overflow.
function attempt<T>(read: () => T): T {
  try {
    return read()
  } catch {
    throw invalid('the front matter cannot be read')
  }
}

/** The text as written: `2026` and `007` are titles. */
function asText(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) return undefined
  return typeof node.value === 'string' ? node.value : node.source
}

function textAt(document: Document, name: string): string | undefined {
  return asText(document.get(name, true))
}

function textsAt(document: Document, name: string): string[] {
  const node = document.get(name, true)
  return isSeq(node) ? node.items.flatMap((item) => asText(item) ?? []) : []
}

function recordAt(document: Document, name: string): JsonRecord | undefined {
  const node = document.get(name, true)
  return isMap(node) ? (node.toJS(document) as JsonRecord) : undefined
}

function timeAt(document: Document, name: string): string | undefined {
  const ms = Date.parse(textAt(document, name) ?? '')
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
}

function matching(document: Document, name: string, pattern: RegExp): string {
  const text = textAt(document, name)
  return text !== undefined && pattern.test(text) ? text : required(name)
}

function required(name: string): never {
  throw invalid(`the front matter has no valid ${name}`)
}
