// Splits a text into words. The models are trained with this file: after a change, train them again.

const WORD = /[\p{L}\p{N}$€£](?:[\p{L}\p{N}'’.-]|,(?=\p{N}))*/gu
const MIN_LENGTH = 2
const MAX_LENGTH = 20

/** Words unchanged; numbers by their form: `#3` for 123, `#-#` for 24-36, `#pm` for 10pm, `$#` for any price. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [match] of text.matchAll(WORD)) {
    const word = withoutEnd(match)
    if (word.length < MIN_LENGTH || word.length > MAX_LENGTH) continue
    words.push(shapeOf(word))
  }
  return words
}

// Not a pattern ending in `+$`: that is quadratic for a long row of dots.
function withoutEnd(word: string): string {
  let end = word.length
  while (end > 0 && ".-'’".includes(word.charAt(end - 1))) end -= 1
  return word.slice(0, end)
}

// A model would memorise a telephone number or a date, which does not help with the next mail.
function shapeOf(word: string): string {
  if (/^[$€£]/.test(word)) return '$#'
  if (/^\p{N}+$/u.test(word)) return `#${Math.min(word.length, 6)}`
  return /^\p{N}/u.test(word) ? word.replaceAll(/\p{N}+/gu, '#') : word
}
