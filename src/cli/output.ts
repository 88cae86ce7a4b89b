// The output of commands: data on stdout, messages on stderr; colours only on a terminal that supports them (NO_COLOR
// is honoured). All output goes through here: a name from a log or server may contain anything, and must not control
// the terminal.
import { randomUUID } from 'node:crypto'
import { styleText } from 'node:util'
import { printable, printableJson } from '../core/printable.ts'

export type Format = 'table' | 'json'
export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'
/** One column: its title, and the text of a row's cell. */
export type Column<Row> = { title: string; cell: (row: Row) => string }

/** Placeholder for `ESC [` in the output of `paint`. It is random, so no outside text contains it. */
const STYLE = `<${randomUUID()}>`
const STYLES = new RegExp(`${STYLE}(\\d+)m`, 'g')

/** Writes one line of data to stdout. */
export function writeLine(text: string): void {
  process.stdout.write(`${toLine(text)}\n`)
}

/** Writes the whole answer as JSON to stdout. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value, null, 2))}\n`)
}

/** Writes rows with titles to stdout. Columns are as wide as their longest cell; the last column is not padded. */
export function writeTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
  for (const line of tableLines(columns, rows)) writeLine(line)
}

/** Writes a body to stdout unchanged; on a terminal only printable characters, line feeds and tabs. */
export async function writeBody(body: AsyncIterable<Uint8Array>): Promise<void> {
  const decoder = process.stdout.isTTY ? new TextDecoder() : undefined
  let last = '\n'
  for await (const chunk of body) {
    const text = decoder?.decode(chunk, { stream: true }).replaceAll('\r\n', '\n')
    process.stdout.write(
      text === undefined
        ? chunk
        : text
            .split(/([\n\t])/)
            .map(keepSpace)
            .join(''),
    )
    last = String.fromCharCode(chunk.at(-1) ?? 0)
  }
  if (last !== '\n') process.stdout.write('\n')
}

/** Writes one message line to stderr. */
export function say(text: string): void {
  process.stderr.write(`${toLine(text)}\n`)
}

/** `text` in `colour` if stdout (or `stream`) is a terminal with colours. Only for the writers of this file. */
export function paint(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(colour, toLine(text), { stream }).replaceAll('\u001b[', STYLE)
}

/** The lines of a table, for `writeLine`. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = [
    columns.map(({ title }) => paint('dim', title)),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => width(line[index] ?? ''))))
  return cells.map((line) => formatRow(line, widths))
}

function formatRow(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1
  return cells
    .map((cell, index) => (index === last ? cell : cell + ' '.repeat((widths[index] ?? 0) - width(cell))))
    .join('  ')
}

function width(text: string): number {
  return printable(text.replace(STYLES, '')).length
}

/** Escapes outside text, then inserts our own styles. */
function toLine(text: string): string {
  return printable(text).replace(STYLES, '\u001b[$1m')
}

function keepSpace(text: string): string {
  return text === '\n' || text === '\t' ? text : printable(text)
}
