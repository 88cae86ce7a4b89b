// Makes text from outside safe to show: it cannot control a terminal or forge a line.

// Controls (C0, DEL, C1), formatting (bidirectional marks, zero-width), lone surrogates, line and paragraph separators.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
const SHORT: Readonly<Record<string, string>> = { '\n': String.raw`\n`, '\r': String.raw`\r`, '\t': String.raw`\t` }
const MAX_QUOTED = 64

/** `text` with every unprintable character escaped, such as `\n` and `\u001b`: always one line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => SHORT[character] ?? codeUnits(character))
}

/** A name from outside for use in a sentence: quoted, escaped and cut to length. */
export function quoted(name: string): string {
  return printable(JSON.stringify(name.slice(0, MAX_QUOTED)))
}

/** JSON with the same value, in which line feeds between tokens are the only unprintable characters left. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => (character === '\n' ? character : codeUnits(character)))
}

/** A log line in JSON whose strings, once parsed, contain no unprintable characters but line feeds and tabs. */
export function printableTexts(line: string): string {
  const escapes = /\\(?:u(?:00[01]|007f|00[89]|d[89a-f])[0-9a-f]*|[bfr]|.)/gi
  const shown = line.replace(escapes, (escape) => (/^\\[ubfr]/.test(escape) ? `\\${escape}` : escape))
  return shown.replace(UNPRINTABLE, (character) => (character === '\n' ? character : `\\${codeUnits(character)}`))
}

// JSON escapes a character beyond the first 65,536 as two code units.
function codeUnits(character: string): string {
  return character
    .split('')
    .map((unit) => String.raw`\u` + unit.charCodeAt(0).toString(16).padStart(4, '0'))
    .join('')
}
