// Snippets: FTS5 marks what it found with control characters, which no indexed text has; here they become places.

export const MARK_START = '\u0001'
export const MARK_END = '\u0002'
export const CUT = '…'
export const SNIPPET_TOKENS = 32

type Place = { readonly start: number; readonly end: number }
export type Snippet = { readonly snippet: string; readonly highlights: readonly Place[] }

const MAX_LENGTH = 400

/** A text as it is kept: without NUL and other control characters, each position as it was. */
export function withoutControls(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, ' ')
}

/** What FTS5 gave, cut to a length that is fit for an answer: a word of a text may be as long as the text. */
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
  // Not through the middle of a surrogate pair.
  const end = /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length
  return `${text.slice(0, end)}${CUT}`
}
