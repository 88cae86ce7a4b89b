// The numbers and bullets of lists.
import type { Attributes, List } from './html-state.ts'

/** The font has all of them. */
const BULLETS = ['\u2022', '\u2013', '-']
const ROMAN: readonly (readonly [value: number, letters: string])[] = [
  [1000, 'm'],
  [900, 'cm'],
  [500, 'd'],
  [400, 'cd'],
  [100, 'c'],
  [90, 'xc'],
  [50, 'l'],
  [40, 'xl'],
  [10, 'x'],
  [9, 'ix'],
  [5, 'v'],
  [4, 'iv'],
  [1, 'i'],
]
const LAST_ROMAN = 3999

export function orderedList({ start, type }: Attributes): List {
  return { ordered: true, format: type?.trim() ?? '1', next: numberIn(start, 1) }
}

/** The marker of the next item; its `value` restarts the count. */
export function markerOf(list: List | undefined, indent: number, { value }: Attributes): string {
  if (list?.ordered !== true) return BULLETS[(Math.max(indent, 1) - 1) % BULLETS.length] ?? '-'
  const number = numberIn(value, list.next)
  list.next = number + 1
  return `${numeral(number, list.format)}.`
}

function numberIn(text: string | undefined, fallback: number): number {
  return /^\s*-?\d{1,7}\s*$/.test(text ?? '') ? Number(text) : fallback
}

// HTML 4.4.5: numbers that a format cannot express are written as digits.
function numeral(number: number, format: string): string {
  const isUpper = format === 'A' || format === 'I'
  const written = number < 1 ? undefined : /^a$/i.test(format) ? letters(number) : roman(number, format)
  if (written === undefined) return String(number)
  return isUpper ? written.toUpperCase() : written
}

function letters(number: number): string {
  let [left, written] = [number, '']
  while (left > 0) {
    left -= 1
    written = String.fromCharCode(0x61 + (left % 26)) + written
    left = Math.floor(left / 26)
  }
  return written
}

function roman(number: number, format: string): string | undefined {
  if (!/^i$/i.test(format) || number > LAST_ROMAN) return undefined
  let [left, written] = [number, '']
  for (const [value, text] of ROMAN) {
    while (left >= value) {
      written += text
      left -= value
    }
  }
  return written
}
