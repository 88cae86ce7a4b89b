// Tables in a PDF: column widths follow the text; rows continue over a page break where they must.
import type { PDFDocument } from 'pdfkit'
import type { Cell, Run } from './blocks.ts'
import { layoutLines, type Line } from './layout.ts'
import { LINE_HEIGHT, type Pen } from './pen.ts'
import type { Sheet } from './sheet.ts'

const POINTS = 9
const HEIGHT = POINTS * LINE_HEIGHT
const PADDING = 4
const MIN_COLUMN = 24
/** Rows that are measured for the column widths. */
const MEASURED_ROWS = 200
const MEASURED_CHARACTERS = 200
const MEASURED_WORD = 40
const BORDER = '#999999'

/** A cell as it is drawn. `next`: its first line that is not drawn yet; `until`: the row after its last. */
type Box = {
  readonly column: number
  readonly span: number
  readonly until: number
  readonly x: number
  readonly width: number
  readonly lines: readonly Line[]
  next: number
}
type Row = readonly Cell[]
type Area = { readonly x: number; readonly width: number }
type Tools = { readonly document: PDFDocument; readonly sheet: Sheet; readonly pen: Pen }

/** `area`: the space for the table, between left and right. */
export function drawTable(rows: readonly Row[], area: Area, { document, sheet, pen }: Tools): void {
  const ready = rows.map((row) => row.map((cell): Cell => ({ ...cell, runs: [...pen.prepare(cell.runs)] })))
  const widths = columnWidths(ready, area.width, pen)
  /** The cells that this row takes part in, including cells that began in a row above. */
  let boxes: Box[] = []
  ready.forEach((row, index) => {
    boxes = [...boxes.filter(({ until }) => until > index), ...row.map((cell) => boxOf(cell, index))]
    const slices = slicesOf(boxes, index)
    // A row is kept together if a page can hold it.
    sheet.ensure(Math.min(slices * HEIGHT + 2 * PADDING, sheet.height))
    if (index === 0) line(area.x, sheet.top(), area.x + area.width, sheet.top())
    for (let slice = 0; slice < slices; slice += 1) drawSlice(slice, slices)
    drawBottom(index)
  })

  function boxOf({ column, span, rows: taken, runs }: Cell, index: number): Box {
    const width = sum(widths.slice(column, column + span))
    const lines = [...layoutLines(runs, Math.max(width - 2 * PADDING, 1), pen.measureAt(POINTS), false)]
    return { column, span, until: index + taken, x: area.x + sum(widths.slice(0, column)), width, lines, next: 0 }
  }

  function drawSlice(slice: number, slices: number): void {
    const above = slice === 0 ? PADDING : 0
    const below = slice === slices - 1 ? PADDING : 0
    sheet.ensure(HEIGHT + above + below)
    const top = sheet.top()
    const bottom = top + above + HEIGHT + below
    for (const box of boxes) {
      const text = box.lines[box.next]
      box.next += 1
      if (text !== undefined) pen.draw(text, box.x + PADDING, top + above, POINTS)
      line(box.x, top, box.x, bottom)
      line(box.x + box.width, top, box.x + box.width, bottom)
    }
    sheet.advance(bottom - top)
  }

  // No line through a cell that continues below.
  function drawBottom(index: number): void {
    const y = sheet.top()
    const isOpen = new Set<number>()
    for (const { column, span, until } of boxes) {
      if (until > index + 1) for (let at = column; at < column + span; at += 1) isOpen.add(at)
    }
    let { x } = area
    widths.forEach((width, column) => {
      if (!isOpen.has(column)) line(x, y, x + width, y)
      x += width
    })
  }

  function line(x1: number, y1: number, x2: number, y2: number): void {
    document.moveTo(x1, y1).lineTo(x2, y2).lineWidth(0.5).stroke(BORDER)
  }
}

// A cell that spans rows spreads its lines over them; lines that remain at its last row make that row higher.
function slicesOf(boxes: readonly Box[], index: number): number {
  return boxes.reduce((most, { lines, next, until }) => {
    return until === index + 1 ? Math.max(most, lines.length - next) : most
  }, 1)
}

/** The width a column needs for its longest word, and the width it wants for its longest text in one line. */
type Wish = { needed: number; wanted: number }

function columnWidths(rows: readonly Row[], available: number, pen: Pen): number[] {
  const count = rows.reduce(
    (most, row) => row.reduce((last, { column, span }) => Math.max(last, column + span), most),
    1,
  )
  const least = Math.min(MIN_COLUMN, available / count)
  const wishes = Array.from({ length: count }, (): Wish => ({ needed: least, wanted: least }))
  for (const row of rows.slice(0, MEASURED_ROWS)) {
    for (const { runs, column, span } of row) {
      const wish = wishes[column]
      if (span === 1 && wish !== undefined) grow(wish, runs, available / count, pen)
    }
  }
  const needed = sum(wishes.map((wish) => wish.needed))
  const more = sum(wishes.map((wish) => wish.wanted - wish.needed))
  // Each column gets what it needs, and its share of the rest.
  const share = (wish: Wish) => (more > 0 ? (wish.wanted - wish.needed) / more : 1 / count)
  return wishes.map((wish) => wish.needed + (available - needed) * share(wish))
}

// No column needs more than an equal share, so all of them together fit.
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
