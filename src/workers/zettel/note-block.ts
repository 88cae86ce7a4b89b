// Finds a note's own front matter in the content of a zettel.

/** The YAML between two `---` lines, in UTF-16 units of the content; `end` is after the second line. */
type NoteBlock = { readonly from: number; readonly to: number; readonly end: number }

/** UTF-16 units; a longer block counts as text. */
const MAX_BLOCK = 16 * 1024

/** The front matter at the start of a note; undefined if there is none. */
export function findNoteBlock(content: string): NoteBlock | undefined {
  const from = /^\uFEFF?---[ \t]*\r?\n/.exec(content)?.[0].length
  if (from === undefined) return undefined
  const within = content.slice(0, from + MAX_BLOCK)
  const close = /(?<=\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)/g
  close.lastIndex = from
  const found = close.exec(within)
  if (found === null) return undefined
  // Two rules with prose between them are not front matter: that has `name:` at the start of a line, or nothing.
  const yaml = within.slice(from, found.index)
  if (yaml.trim() !== '' && !/^[^\s#:][^:\n]*:(?:\s|$)/m.test(yaml)) return undefined
  return { from, to: found.index, end: found.index + found[0].length }
}

/** The content after its front matter; all of it if there is none. */
export function withoutNoteBlock(content: string): string {
  const block = findNoteBlock(content)
  return block === undefined ? content : content.slice(block.end)
}
