// Tables while a document is read. What is really a grid stays one; a table that only lays out a page is taken apart.
import type { Block, Cell, Place, Run } from './blocks.ts'
import { MAX_TABLE_COLUMNS } from './limits.ts'

type OpenCell = { readonly blocks: Block[]; readonly span: number }
type OpenTable = { readonly place: Place; readonly rows: OpenCell[][] }

export type TableBuilder = {
  /** Where blocks go now: the innermost open cell, or the document. */
  readonly sink: () => Block[]
  readonly beginTable: (place: Place) => void
  readonly endTable: () => void
  readonly beginRow: () => void
  /** Every cell that is begun must be ended. */
  readonly beginCell: (span: number) => void
  readonly endCell: () => void
  /** The blocks of the document; tables that are still open are ended. */
  readonly finish: () => Block[]
}

export function createTableBuilder(): TableBuilder {
  const document: Block[] = []
  const sinks: Block[][] = [document]
  const tables: OpenTable[] = []
  const sink = (): Block[] => sinks.at(-1) ?? document
  const endTable = (): void => {
    const table = tables.pop()
    // One by one: as arguments of one push they would have to fit on the stack.
    if (table !== undefined) for (const block of toBlocks(table)) sink().push(block)
  }
  return {
    sink,
    beginTable: (place) => void tables.push({ place, rows: [] }),
    endTable,
    beginRow: () => void tables.at(-1)?.rows.push([]),
    beginCell(span) {
      const cell: OpenCell = { blocks: [], span }
      const table = tables.at(-1)
      // A cell outside of any table is a block like any other.
      if (table === undefined) return void sinks.push(sink())
      if (table.rows.length === 0) table.rows.push([])
      table.rows.at(-1)?.push(cell)
      sinks.push(cell.blocks)
    },
    endCell() {
      if (sinks.length > 1) sinks.pop()
    },
    finish() {
      while (sinks.length > 1) sinks.pop()
      while (tables.length > 0) endTable()
      return document
    },
  }
}

function* toBlocks({ place, rows }: OpenTable): Generator<Block, void> {
  const filled = rows.filter((row) => row.some(({ blocks }) => blocks.length > 0))
  const columns = filled.reduce((most, row) => Math.max(most, columnsOf(row)), 0)
  if (columns < 2 || !filled.every((row) => row.every(isText))) {
    for (const row of filled) for (const { blocks } of row) yield* blocks
  } else if (columns > MAX_TABLE_COLUMNS) {
    for (const row of filled) yield { ...place, kind: 'paragraph', runs: joined(row.map(runsOf), ' | ') }
  } else {
    const cells = (row: OpenCell[]): Cell[] => row.map((cell) => ({ runs: runsOf(cell), span: cell.span }))
    yield { ...place, kind: 'table', rows: filled.map(cells) }
  }
}

function columnsOf(row: readonly OpenCell[]): number {
  return row.reduce((sum, { span }) => sum + span, 0)
}

function isText({ blocks }: OpenCell): boolean {
  return blocks.every(({ kind }) => kind === 'paragraph' || kind === 'heading' || kind === 'preformatted')
}

function runsOf({ blocks }: OpenCell): Run[] {
  return joined(blocks.map(blockRuns), '\n')
}

function blockRuns(block: Block): Run[] {
  const marker: Run[] = block.marker === undefined ? [] : [{ text: `${block.marker} `, style: 0 }]
  if (block.kind === 'preformatted') return [...marker, { text: block.text, style: block.style }]
  return 'runs' in block ? [...marker, ...block.runs] : marker
}

function joined(parts: readonly Run[][], separator: string): Run[] {
  return parts.flatMap((runs, index) => (index === 0 ? runs : [{ text: separator, style: 0 }, ...runs]))
}
