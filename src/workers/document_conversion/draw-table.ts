// Tables in a PDF: columns as wide as their text wants, rows that go on over a page break where they must.
import type { PDFDocument } from 'pdfkit'
import type { Cell, Run } from './blocks.ts'
import { layoutLines, type Line } from './layout.ts'
import { LINE_HEIGHT, type Pen } from './pen.ts'
import type { Sheet } from './sheet.ts'

const POINTS = 9
const HEIGHT = POINTS * LINE_HEIGHT
const PADDING = 4
const MIN_COLUMN = 24
/** Rows that have a say in the widths. */
const MEASURED_ROWS = 200
const MEASURED_CHARACTERS = 200
const MEASURED_WORD = 40
const BORDER = '#999999'

type Box = { readonly x: number; readonly width: number; readonly lines: readonly Line[] }
type Row = readonly Cell[]
type Area = { readonly x: number; readonly width: number }

/** `area`: where it stands, between left and right. */
export function drawTable(
  rows: readonly Row[],
  area: Area,
  { document, sheet, pen }: { document: PDFDocument; sheet: Sheet; pen: Pen },
): void {
  const ready = rows.map((row) => row.map(({ runs, span }): Cell => ({ runs: [...pen.prepare(runs)], span })))
  const widths = columnWidths(ready, area.width, pen)
  ready.forEach((row, index) => {
    const boxes = boxesOf(row, widths, area, pen)
    const slices = Math.max(1, ...boxes.map(({ lines }) => lines.length))
    // A row is kept in one piece where a page can hold it.
    sheet.ensure(Math.min(slices * HEIGHT + 2 * PADDING, sheet.height))
    if (index === 0) line(area.x, sheet.top(), area.x + area.width, sheet.top())
    for (let slice = 0; slice < slices; slice += 1) drawSlice(boxes, slice, slices)
    line(area.x, sheet.top(), area.x + area.width, sheet.top())
  })

  function drawSlice(boxes: readonly Box[], slice: number, slices: number): void {
    const above = slice === 0 ? PADDING : 0
    const below = slice === slices - 1 ? PADDING : 0
    sheet.ensure(HEIGHT + above + below)
    const top = sheet.top()
    const bottom = top + above + HEIGHT + below
    for (const { x, width, lines } of boxes) {
      const text = lines[slice]
      if (text !== undefined) pen.draw(text, x + PADDING, top + above, POINTS)
      line(x, top, x, bottom)
      line(x + width, top, x + width, bottom)
    }
    sheet.advance(bottom - top)
  }

  function line(x1: number, y1: number, x2: number, y2: number): void {
    document.moveTo(x1, y1).lineTo(x2, y2).lineWidth(0.5).stroke(BORDER)
  }
}

function boxesOf(row: Row, widths: readonly number[], area: Area, pen: Pen): Box[] {
  const measure = pen.measureAt(POINTS)
  let column = 0
  let { x } = area
  return row.map(({ runs, span }) => {
    const width = sum(widths.slice(column, column + span))
    const box = { x, width, lines: [...layoutLines(runs, Math.max(width - 2 * PADDING, 1), measure, false)] }
    column += span
    x += width
    return box
  })
}

/** What a column needs for its longest word, and what it wants for its longest text in one line. */
type Wish = { needed: number; wanted: number }

function columnWidths(rows: readonly Row[], available: number, pen: Pen): number[] {
  const count = Math.max(1, ...rows.map((row) => sum(row.map(({ span }) => span))))
  const least = Math.min(MIN_COLUMN, available / count)
  const wishes = Array.from({ length: count }, (): Wish => ({ needed: least, wanted: least }))
  for (const row of rows.slice(0, MEASURED_ROWS)) {
    let column = 0
    for (const { runs, span } of row) {
      const wish = wishes[column]
      if (span === 1 && wish !== undefined) grow(wish, runs, available / count, pen)
      column += span
    }
  }
  const needed = sum(wishes.map((wish) => wish.needed))
  const more = sum(wishes.map((wish) => wish.wanted - wish.needed))
  // Each gets what it needs, and its share of the rest.
  const share = (wish: Wish) => (more > 0 ? (wish.wanted - wish.needed) / more : 1 / count)
  return wishes.map((wish) => wish.needed + (available - needed) * share(wish))
}

// No column needs more than an equal share: so all of them together have room.
function grow(wish: Wish, runs: readonly Run[], equalShare: number, pen: Pen): void {
  const measure = pen.measureAt(POINTS)
  const [line = []] = layoutLines(shortened(runs), Number.POSITIVE_INFINITY, measure, false)
  const last = line.at(-1)
  const wanted = last === undefined ? 0 : last.x + measure(last.text, last.style) + 2 * PADDING + 1
  wish.wanted = Math.max(wish.wanted, wanted)
  for (const { text, style } of line) {
    for (const word of text.split(' ')) {
      const needed = measure(word.slice(0, MEASURED_WORD), style) + 2 * PADDING + 1
      wish.needed = Math.max(wish.needed, Math.min(needed, equalShare))
    }
  }
}

function* shortened(runs: readonly Run[]): Generator<Run, void> {
  let left = MEASURED_CHARACTERS
  for (const { text, style } of runs) {
    if (left <= 0) return
    yield { text: text.slice(0, left).replaceAll('\n', ' '), style }
    left -= text.length
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
