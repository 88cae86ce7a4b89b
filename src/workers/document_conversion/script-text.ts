// Superscript and subscript: as Unicode characters where they exist, so that 10³ is not copied as 103.
import { STYLE, type Style } from './blocks.ts'

/** Longer text is a sentence in small print, not an exponent. */
const MAX_LENGTH = 12
const RAISED = pairs(
  '0123456789+-\u2212=()abcdefghijklmnoprstuvwxyz',
  '\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207c\u207d\u207e' +
    '\u1d43\u1d47\u1d9c\u1d48\u1d49\u1da0\u1d4d\u02b0\u2071\u02b2\u1d4f\u02e1\u1d50\u207f\u1d52\u1d56\u02b3\u02e2\u1d57\u1d58\u1d5b\u02b7\u02e3\u02b8\u1dbb',
)
const LOWERED = pairs(
  '0123456789+-\u2212=()aehijklmnoprstuvx',
  '\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u208b\u208c\u208d\u208e' +
    '\u2090\u2091\u2095\u1d62\u2c7c\u2096\u2097\u2098\u2099\u2092\u209a\u1d63\u209b\u209c\u1d64\u1d65\u2093',
)

export function isScript(style: Style): boolean {
  return (style & (STYLE.sub | STYLE.sup)) !== 0
}

/** A style without superscript and subscript. */
export function onTheLine(style: Style): Style {
  return style & ~(STYLE.sub | STYLE.sup)
}

/** The text in Unicode superscript or subscript characters; undefined unless all of them exist. */
export function scriptText(text: string, style: Style): string | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const known = (style & STYLE.sup) === 0 ? LOWERED : RAISED
  let written = ''
  for (const character of text) {
    const script = known.get(character)
    if (script === undefined) return undefined
    written += script
  }
  return written
}

/** The notation for plain text: 10³ and x^(α+β); a mark that is neither letter nor digit stays as it is. */
export function plainScript(text: string, style: Style): string {
  if (!isScript(style)) return text
  const written = scriptText(text, style)
  if (written !== undefined) return written
  if (text.length > MAX_LENGTH || !/^[\p{L}\p{N}+\u2212-]/u.test(text)) return text
  return `${(style & STYLE.sup) === 0 ? '_' : '^'}(${text})`
}

function pairs(plain: string, script: string): ReadonlyMap<string, string> {
  return new Map(Array.from(plain, (character, index) => [character, script[index] ?? character]))
}
