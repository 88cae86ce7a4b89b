// Uses the front matter in the content of a note, as in notes of Obsidian, Jekyll and Hugo: the zettel takes its title
// and tags. The content itself is unchanged. A broken block is not an error: it is ignored.
import { isMap, isScalar, isSeq, parseDocument, type Document } from 'yaml'
import { findNoteBlock } from './note-block.ts'
import { isName, LIMITS, tidy, type Draft } from './zettel.ts'

const READ = { version: '1.2', schema: 'core', strict: false, prettyErrors: false } as const

type NoteHead = { readonly title: string | undefined; readonly tags: readonly string[] }

/** Adds the title of the note if the caller gave none, and its tags after those of the caller. */
export function withNoteHead(draft: Draft): Draft {
  const block = findNoteBlock(draft.content)
  if (block === undefined) return draft
  const head = readHead(draft.content.slice(block.from, block.to))
  const tags = [...new Set([...(draft.tags ?? []).map(tidy), ...head.tags])]
  const title = draft.title ?? head.title
  // Tags of the note never exceed the limit, so they are never a reason to refuse.
  const fitting = tags.slice(0, Math.max(LIMITS.tags, draft.tags?.length ?? 0))
  return { ...draft, ...(title !== undefined && { title }), ...(fitting.length > 0 && { tags: fitting }) }
}

function readHead(yaml: string): NoteHead {
  const document = parse(yaml)
  if (document === undefined) return { title: undefined, tags: [] }
  const title = textOf(document.get('title', true))
  const named = title === undefined ? undefined : tidy(title)
  return {
    title: named !== undefined && isName(named, LIMITS.title) ? named : undefined,
    tags: ['tags', 'tag'].flatMap((name) => tagsOf(document.get(name, true))),
  }
}

function parse(yaml: string): Document | undefined {
  try {
    const document = parseDocument(yaml, READ)
    return isMap(document.contents) ? document : undefined
  } catch {
    return undefined // The parser throws various errors, including stack overflow.
  }
}

/** A list, or one text separated by commas or spaces; a leading `#` is removed. */
function tagsOf(node: unknown): string[] {
  const texts = isSeq(node) ? node.items.map(textOf) : (textOf(node)?.split(/[,\s]+/) ?? [])
  return texts.map((text) => tidy((text ?? '').replace(/^#+/, ''))).filter((tag) => isName(tag, LIMITS.tag))
}

/** The text as written: `2026` and `007` are titles. */
function textOf(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) return undefined
  return typeof node.value === 'string' ? node.value : node.source
}
