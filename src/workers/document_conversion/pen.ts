// Writes lines of text into a PDF: measures it, draws it, and puts a mark where the font lacks a character.
import type { PDFDocument } from 'pdfkit'
import { STYLE, type Run, type Style } from './blocks.ts'
import { codePointName, coveredText, visibleText } from './characters.ts'
import { createFonts, faceFor } from './fonts.ts'
import type { Line, Measure } from './layout.ts'
import type { Warnings } from './warnings.ts'

export type Pen = {
  /** Runs as the fonts can show them. Code is only what Courier can show. */
  readonly prepare: (runs: Iterable<Run>) => Generator<Run, void>
  readonly measureAt: (points: number) => Measure
  /** `top`: of the line, which is LINE_HEIGHT times `points` high. */
  readonly draw: (line: Line, x: number, top: number, points: number) => void
}

/** Of the size of its letters. */
export const LINE_HEIGHT = 1.4
const ASCENT = 1.07
const MAX_KNOWN_WIDTHS = 50_000
const UNIT = 100
const PLAIN = /^[\n\t\u0020-\u007e]*$/

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
      (unitWidth(text, style) * points) / UNIT

  return {
    measureAt,
    *prepare(runs) {
      for (const { text, style } of runs) {
        const visible = visibleText(text)
        if (PLAIN.test(visible)) {
          yield { text: visible, style }
          continue
        }
        const face = faceFor(style & ~STYLE.code, visible)
        const has = (codePoint: number) => fonts.has(face, codePoint)
        const missing = (codePoint: number) => warnings.add('CHARACTERS_REPLACED', 1, codePointName(codePoint))
        const covered = coveredText(visible, has, missing)
        yield { text: covered, style: PLAIN.test(covered) ? style : style & ~STYLE.code }
      }
    },
    draw(line, x, top, points) {
      const baseline = top + ((LINE_HEIGHT - 1) / 2 + ASCENT - 0.2) * points
      for (const piece of line) {
        const text = piece.text.replaceAll('\u00a0', ' ')
        if (text.trim() === '') continue
        fonts.use(faceFor(piece.style, text))
        document.fontSize(points).text(text, x + piece.x, baseline, { lineBreak: false, baseline: 'alphabetic' })
        drawLines(piece.style, x + piece.x, measureAt(points)(text, piece.style), baseline, points)
      }
    },
  }

  function drawLines(style: Style, x: number, width: number, baseline: number, points: number): void {
    const heights = [
      ...((style & STYLE.underline) === 0 ? [] : [baseline + points * 0.12]),
      ...((style & STYLE.strike) === 0 ? [] : [baseline - points * 0.3]),
    ]
    for (const y of heights) {
      document
        .moveTo(x, y)
        .lineTo(x + width, y)
        .lineWidth(0.6)
        .stroke('black')
    }
  }
}
