// Text that a font can show: composed characters, no control or invisible characters, and a mark for each missing one.

const REPLACEMENT = '\uFFFD'

// White space of other widths, then characters without a glyph: controls, joiners, direction marks, variation
// selectors.
const SPACES = /[\u1680\u2000-\u200a\u202f\u205f\u3000]/g
const INVISIBLE =
  /[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f\u2028\u2029\u{e0001}]|\p{Default_Ignorable_Code_Point}/gu
const PLAIN = /^[\n\t\u0020-\u007e]*$/

/** Composes characters, removes invisible ones, replaces lone surrogates and unusual spaces. Line breaks are kept. */
export function visibleText(text: string): string {
  if (PLAIN.test(text)) return text
  const lines = text.toWellFormed().replaceAll(/\r\n?|[\u000b\u000c\u0085\u2028\u2029]/g, '\n')
  return lines.replaceAll(SPACES, ' ').replaceAll(INVISIBLE, '').normalize('NFC')
}

/** ASCII replacements for arrows, lines and marks that many documents use and the font lacks. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  '\u2190': '<-',
  '\u2191': '^',
  '\u2192': '->',
  '\u2194': '<->',
  '\u21d0': '<=',
  '\u21d2': '=>',
  '\u25b6': '>',
  '\u25b8': '>',
  '\u25ba': '>',
  '\u25c0': '<',
  '\u25c4': '<',
  '\u25aa': '\u2022',
  '\u25cf': '\u2022',
}

// Unicode's box-drawing block: horizontal lines, vertical lines, and junctions.
function boxDrawing(character: string): string | undefined {
  if (character < '\u2500' || character > '\u257f') return undefined
  if (/[\u2500\u2501\u2504\u2505\u2508\u2509\u254c\u254d\u2550\u2574\u2576\u2578\u257a]/.test(character)) return '-'
  return /[\u2502\u2503\u2506\u2507\u250a\u250b\u254e\u254f\u2551\u2575\u2577\u2579\u257b]/.test(character) ? '|' : '+'
}

/**
 * Replaces each character that the font lacks by a look-alike, or else by REPLACEMENT. `onMissing` is called for each
 * REPLACEMENT.
 */
export function coveredText(
  text: string,
  has: (codePoint: number) => boolean,
  onMissing: (codePoint: number) => void,
): string {
  if (PLAIN.test(text)) return text
  let covered = ''
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0
    if (codePoint <= 0x7e || has(codePoint)) {
      covered += character
      continue
    }
    const alike = LOOK_ALIKES[character] ?? boxDrawing(character)
    if (alike === undefined) onMissing(codePoint)
    covered += alike ?? REPLACEMENT
  }
  return covered
}

/** In the usual notation: U+4E2D. */
export function codePointName(codePoint: number): string {
  return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`
}
