// A text as words with their positions and sentences.

/** `start` and `end` are UTF-16 offsets in the text; `word` is in lower case, with a plain apostrophe. */
export type Token = { readonly word: string; readonly start: number; readonly end: number; readonly sentence: number }

const WORD = /[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*/gu
// A full stop within a number or an abbreviation (e.g.) is not followed by a space.
const SENTENCE_END = /[.!?…][”"’')\]]*\s|[。！？]|\n\s*\n/

/** One pass: the work per character is bounded. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let sentence = 0
  let end = 0
  for (const { 0: found, index } of text.matchAll(WORD)) {
    if (tokens.length > 0 && SENTENCE_END.test(text.slice(end, index))) sentence += 1
    end = index + found.length
    tokens.push({ word: found.toLowerCase().replaceAll('’', "'"), start: index, end, sentence })
  }
  return tokens
}
