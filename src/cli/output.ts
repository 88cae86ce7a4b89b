// What commands write: data on stdout, talk on stderr; colours only where a terminal shows them (NO_COLOR is honoured).
import { stripVTControlCharacters, styleText } from 'node:util'

export type Format = 'table' | 'json'
export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'
/** One column: its title, and the text of a row's cell. */
export type Column<Row> = { title: string; cell: (row: Row) => string }

/** One line of data on stdout. */
export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** The whole answer as JSON on stdout. */
export function writeJson(value: unknown): void {
  writeLine(JSON.stringify(value, null, 2))
}

/** One line of talk on stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** `text` in `colour` if stdout (or `stream`) is a terminal that wants colours. */
export function paint(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(colour, text, { stream })
}

/** Rows under titles, columns as wide as their longest cell; the last column is not padded. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map(({ title }) => paint('dim', title)),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => width(line[index] ?? ''))))
  return cells.map((line) => formatRow(line, widths)).join('\n')
}

function formatRow(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1
  return cells
    .map((cell, index) => (index === last ? cell : cell + ' '.repeat((widths[index] ?? 0) - width(cell))))
    .join('  ')
}

function width(text: string): number {
  return stripVTControlCharacters(text).length
}
