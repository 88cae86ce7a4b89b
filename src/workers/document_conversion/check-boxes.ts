// Check boxes are drawn with lines, since the font lacks them, over invisible text that is copied in their place.
import type { PDFDocument } from 'pdfkit'
import { STYLE, type Run } from './blocks.ts'

export const UNCHECKED = '\u2610'
export const CHECKED = '\u2611'
const TEXTS: ReadonlyMap<string, string> = new Map([
  // A no-break space.
  [UNCHECKED, '[\u00a0]'],
  [CHECKED, '[x]'],
  ['\u2612', '[X]'],
])
/** Relative to the size of the letters beside it. */
const SIDE = 0.78
const LINE = 0.07

/** Splits a run: each check box becomes a run of its own with the style `box`. */
export function* splitCheckBoxes({ text, style }: Run): Generator<Run, void> {
  for (const part of text.split(/([\u2610-\u2612])/)) {
    const box = TEXTS.get(part)
    if (box !== undefined) yield { text: box, style: STYLE.box | (style & (STYLE.underline | STYLE.strike)) }
    else if (part !== '') yield { text: part, style }
  }
}

/** `box`: the text that is copied. `at`: left end of its baseline. */
export function drawCheckBox(document: PDFDocument, box: string, at: { x: number; y: number }, points: number): void {
  const side = SIDE * points
  const [left, top] = [at.x + 0.12 * points, at.y - side + 0.04 * points]
  document
    .lineWidth(LINE * points)
    .rect(left, top, side, side)
    .stroke('black')
  const path = (...steps: (readonly [x: number, y: number])[]): void => {
    steps.forEach(([x, y], index) => {
      if (index === 0) document.moveTo(left + x * side, top + y * side)
      else document.lineTo(left + x * side, top + y * side)
    })
    document.lineWidth(1.5 * LINE * points).stroke('black')
  }
  if (box === '[x]') path([0.2, 0.55], [0.42, 0.78], [0.82, 0.22])
  if (box === '[X]') {
    path([0.2, 0.2], [0.8, 0.8])
    path([0.8, 0.2], [0.2, 0.8])
  }
}
