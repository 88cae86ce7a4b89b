// Writes lines of text into a PDF: measures and draws them, and puts a mark in place of characters that the font lacks.
import type { PDFDocument } from 'pdfkit'
import { STYLE, type Run, type Style } from './blocks.ts'
import { codePointName, coveredText, visibleText } from './characters.ts'
import { drawCheckBox, splitCheckBoxes } from './check-boxes.ts'
import { createFonts, faceFor, type Fonts } from './fonts.ts'
import type { Line, Measure } from './layout.ts'
import { isScript, onTheLine, scriptText } from './script-text.ts'
import type { Warnings } from './warnings.ts'

export type Pen = {
  /** Runs that the fonts can show. A run stays code only if Courier can show it. */
  readonly prepare: (runs: Iterable<Run>) => Generator<Run, void>
  readonly measureAt: (points: number) => Measure
  /** `top`: top of the line, which is LINE_HEIGHT times `points` high. */
  readonly draw: (line: Line, x: number, top: number, points: number) => void
}

type Point = { readonly x: number; readonly y: number }

/** Relative to the size of its letters. */
export const LINE_HEIGHT = 1.4
const ASCENT = 1.07
const MAX_KNOWN_WIDTHS = 50_000
const UNIT = 100
// ISO 32000-1 table 106: text rendering mode 3.
const INVISIBLE_TEXT = '3 Tr'
const PLAIN = /^[\n\t\u0020-\u007e]*$/
/** Superscript and subscript: size, and distance from the baseline, both relative to the letters around them. */
const SCRIPT_SIZE = 0.7
const RISE = 0.36
const FALL = 0.16
const WORD_END = /[\p{L}\p{N}]$/u
const WORD_START = /^[\p{L}\p{N}]/u

export function createPen(document: PDFDocument, warnings: Warnings): Pen {
  const fonts = createFonts(document)
  const widths = new Map<string, number>()

  const unitWidth: Measure = (text, style) => {
    const face = faceFor(style, text)
    const key = `${face}:${text}`
    const known = widths.get(key)
    if (known !== undefined) return known
    fonts.use(face)
    const width = document.fontSize(UNIT).widthOfString(text)
    if (widths.size >= MAX_KNOWN_WIDTHS) widths.clear()
    widths.set(key, width)
    return width
  }
  const measureAt =
    (points: number): Measure =>
    (text, style) =>
      (unitWidth(text, style) * points * sizeOf(style)) / UNIT

  return {
    measureAt,
    prepare: (runs) => apart(prepareRuns(runs, fonts, warnings)),
    draw(line, x, top, points) {
      const baseline = top + ((LINE_HEIGHT - 1) / 2 + ASCENT - 0.2) * points
      for (const piece of line) {
        const text = piece.text.replaceAll('\u00a0', ' ')
        if (text.trim() === '') continue
        fonts.use(faceFor(piece.style, text))
        const at = { x: x + piece.x, y: baseline - riseOf(piece.style) * points }
        const size = points * sizeOf(piece.style)
        if ((piece.style & STYLE.box) === 0) drawText(text, at, size)
        else drawBoxes(text, at, points)
        const width = measureAt(points)(piece.text, piece.style)
        drawLines(document, at, { style: piece.style, width, size })
      }
    },
  }

  function drawText(text: string, { x, y }: Point, points: number): void {
    document.fontSize(points).text(text, x, y, { lineBreak: false, baseline: 'alphabetic' })
  }

  // The copied text is [x]: it is present but not painted. The visible part is a box.
  function drawBoxes(text: string, at: Point, points: number): void {
    document.save().addContent(INVISIBLE_TEXT)
    drawText(text, at, points)
    document.restore()
    let { x } = at
    for (const [box] of text.matchAll(/\[.\]/g)) {
      drawCheckBox(document, box, { x, y: at.y }, points)
      x += measureAt(points)(box, STYLE.plain)
    }
  }
}

/** Draws lines under and through text that is `width` wide; `at` is its start on the baseline. */
function drawLines(
  document: PDFDocument,
  { x, y: baseline }: Point,
  text: { style: Style; width: number; size: number },
) {
  const { style, width, size } = text
  const heights = [
    ...((style & STYLE.underline) === 0 ? [] : [baseline + size * 0.12]),
    ...((style & STYLE.strike) === 0 ? [] : [baseline - size * 0.3]),
  ]
  for (const y of heights) {
    document
      .moveTo(x, y)
      .lineTo(x + width, y)
      .lineWidth(0.6)
      .stroke('black')
  }
}

function sizeOf(style: Style): number {
  return isScript(style) ? SCRIPT_SIZE : 1
}

function riseOf(style: Style): number {
  if (!isScript(style)) return 0
  return (style & STYLE.sup) === 0 ? -FALL : RISE
}

function* prepareRuns(runs: Iterable<Run>, fonts: Fonts, warnings: Warnings): Generator<Run, void> {
  for (const { text, style } of runs) {
    for (const part of splitCheckBoxes({ text: visibleText(text), style })) {
      yield (part.style & STYLE.box) === 0 ? prepareRun(part, fonts, warnings) : part
    }
  }
}

function prepareRun({ text, style }: Run, fonts: Fonts, warnings: Warnings): Run {
  const face = faceFor(style & ~STYLE.code, text)
  const has = (codePoint: number) => fonts.has(face, codePoint)
  const script = isScript(style) ? scriptText(text, style) : undefined
  if (script !== undefined && Array.from(script).every((character) => has(character.codePointAt(0) ?? 0))) {
    return { text: script, style: onTheLine(style) & ~STYLE.code }
  }
  if (PLAIN.test(text)) return { text, style }
  const missing = (codePoint: number) => warnings.add('CHARACTERS_REPLACED', { sample: codePointName(codePoint) })
  const covered = coveredText(text, has, missing)
  return { text: covered, style: PLAIN.test(covered) ? style : style & ~STYLE.code }
}

// A no-break space where superscript or subscript would otherwise be read as one word with its neighbours.
function* apart(runs: Iterable<Run>): Generator<Run, void> {
  let before: Run | undefined
  for (const run of runs) {
    const differs = before !== undefined && isScript(before.style) !== isScript(run.style)
    const joins = differs && WORD_END.test(before?.text ?? '') && WORD_START.test(run.text)
    const style = isScript(run.style) ? run.style : (before?.style ?? run.style)
    if (joins) yield { text: '\u00a0', style }
    before = run
    yield run
  }
}
