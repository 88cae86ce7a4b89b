// Snippets: FTS5 marks matches with control characters, which no indexed text contains; they become positions here.

export const MARK_START = '\u0001'
export const MARK_END = '\u0002'
export const CUT = '…'
export const SNIPPET_TOKENS = 32

type Place = { readonly start: number; readonly end: number }
export type Snippet = { readonly snippet: string; readonly highlights: readonly Place[] }

const MAX_LENGTH = 400

/** A text as it is stored: NUL and other control characters are replaced, and all positions stay the same. */
export function withoutControls(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, ' ')
}

/** Parses the output of FTS5 and limits its length: a single word may be as long as the whole text. */
export function parseSnippet(marked: string): Snippet {
  let snippet = ''
  const highlights: Place[] = []
  for (const [at, part] of marked.split(MARK_START).entries()) {
    const [found = '', after = ''] = at === 0 ? ['', part] : part.split(MARK_END)
    if (found !== '') highlights.push({ start: snippet.length, end: snippet.length + found.length })
    snippet += found + after
  }
  const cut = cutAt(snippet, MAX_LENGTH)
  return { snippet: cut, highlights: highlights.filter(({ end }) => end <= cut.length) }
}

/** The beginning of a text. */
export function beginningOf(text: string): Snippet {
  return { snippet: cutAt(text, MAX_LENGTH / 2), highlights: [] }
}

function cutAt(text: string, length: number): string {
  if (text.length <= length) return text
  // Do not split a surrogate pair.
  const end = /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length
  return `${text.slice(0, end)}${CUT}`
}
