// Breaks runs of text into lines of a given width. Independent of pages and fonts: `measure` gives the widths.
import type { Run, Style } from './blocks.ts'

/** Text of one style as it is drawn, at `x` from the start of its line. */
type Piece = { readonly text: string; readonly style: Style; readonly x: number }
export type Line = readonly Piece[]
export type Measure = (text: string, style: Style) => number

type Sized = { readonly text: string; readonly style: Style; readonly width: number }

/** Longer words are measured in parts: shaping takes memory for each character. */
const MAX_PART = 40
// A blank line is a line; a combining mark stays with its letter.
const TOKENS = /\n|[ \t]+|[^ \t\n]+/g
const CLUSTERS = /\P{M}\p{M}{0,8}|\p{M}/gu

/** `keepSpaces`: as in preformatted text; otherwise no line begins with a space, and each space is one wide. */
export function* layoutLines(
  runs: Iterable<Run>,
  width: number,
  measure: Measure,
  keepSpaces: boolean,
): Generator<Line, void> {
  let line = createLine()
  let word: Sized[] = []
  let space: Sized | undefined

  function* endWord(): Generator<Line, void> {
    const wordWidth = word.reduce((sum, part) => sum + part.width, 0)
    if (wordWidth === 0 && word.length === 0) return
    const gap = space?.width ?? 0
    if (!line.isEmpty() && line.width() + gap + wordWidth > width) {
      yield line.pieces()
      line = createLine()
    } else if (space !== undefined && (keepSpaces || !line.isEmpty())) line.add(space)
    space = undefined
    for (const part of word) {
      if (line.width() + part.width <= width) {
        line.add(part)
        continue
      }
      // Wider than a whole line: broken at any character.
      for (const cluster of clustersOf(part, measure)) {
        if (!line.isEmpty() && line.width() + cluster.width > width) {
          yield line.pieces()
          line = createLine()
        }
        line.add(cluster)
      }
    }
    word = []
  }

  // Not wider than a line.
  function spaceOf(spaces: string, style: Style): Sized {
    const text = spaces.slice(0, Math.max(1, Math.floor(width / measure(' ', style))))
    return { text, style, width: measure(text, style) }
  }

  let pending = false
  for (const { text, style } of runs) {
    for (const [token] of text.matchAll(TOKENS)) {
      pending = true
      if (token === '\n') {
        yield* endWord()
        yield line.pieces()
        line = createLine()
        space = undefined
        pending = false
      } else if (/^[ \t]/.test(token)) {
        yield* endWord()
        space = spaceOf(keepSpaces ? token.replaceAll('\t', '    ') : ' ', style)
      } else {
        for (const part of partsOf(token)) word.push({ text: part, style, width: measure(part, style) })
      }
    }
  }
  yield* endWord()
  if (pending) yield line.pieces()
}

function createLine() {
  const pieces: { text: string; style: Style; x: number }[] = []
  let end = 0
  return {
    isEmpty: () => pieces.length === 0,
    width: () => end,
    pieces: (): Line => pieces,
    add({ text, style, width }: Sized): void {
      const last = pieces.at(-1)
      if (last?.style === style) last.text += text
      else pieces.push({ text, style, x: end })
      end += width
    },
  }
}

function* partsOf(word: string): Generator<string, void> {
  if (word.length <= MAX_PART) {
    yield word
    return
  }
  let part = ''
  for (const [cluster] of word.matchAll(CLUSTERS)) {
    if (part.length + cluster.length > MAX_PART) {
      yield part
      part = ''
    }
    part += cluster
  }
  yield part
}

function clustersOf({ text, style }: Sized, measure: Measure): Sized[] {
  return Array.from(text.matchAll(CLUSTERS), ([cluster]) => ({ text: cluster, style, width: measure(cluster, style) }))
}
