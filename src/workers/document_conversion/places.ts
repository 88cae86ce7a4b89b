// Where something is in a document, in words that its reader can find: the heading, and the text just before.
import { visibleText } from './characters.ts'

export type Trail = {
  /** Adds text in document order. `isHeading`: it is part of a heading. */
  readonly text: (text: string, isHeading: boolean) => void
  /** A heading begins; it replaces the previous one. */
  readonly heading: () => void
  /** A block ends: its words are not joined to those of the next. */
  readonly apart: () => void
  /** The current place. */
  readonly place: () => string
}

const KEPT = 240
const SHOWN = 40

export function createTrail(): Trail {
  let before = ''
  let heading = ''
  return {
    text(text, isHeading) {
      before = (before + text.slice(-KEPT)).slice(-KEPT)
      if (isHeading && heading.length < KEPT) heading += text.slice(0, KEPT)
    },
    heading: () => void (heading = ''),
    apart: () => void (before += ' '),
    place() {
      const [last, title] = [lastWords(before), firstWords(heading)]
      if (last === '') return 'at the start'
      return title === '' || title === last ? `after ${quoted(last)}` : `after ${quoted(last)}, under ${quoted(title)}`
    },
  }
}

/** The beginning of a text, as one short line. */
export function firstWords(text: string): string {
  const line = oneLine(text.slice(0, KEPT))
  return line.length <= SHOWN
    ? line
    : `${line
        .slice(0, SHOWN)
        .replace(/\s+\S{0,20}$/, '')
        .toWellFormed()}\u2026`
}

export function quoted(text: string): string {
  return `"${text}"`
}

function lastWords(text: string): string {
  const line = oneLine(text)
  return line.length <= SHOWN
    ? line
    : `\u2026${line
        .slice(-SHOWN)
        .replace(/^\S{0,20}\s+/, '')
        .toWellFormed()}`
}

function oneLine(text: string): string {
  return visibleText(text).replaceAll(/\s+/g, ' ').trim()
}
