// Builds tables while a document is read. A real grid stays a table; a table used only for page layout is taken apart.
import type { Block, Cell, Place, Run } from './blocks.ts'
import { MAX_TABLE_COLUMNS } from './limits.ts'
import { placeCells, withoutUnusedColumns, type Placed, type Spanning } from './table-grid.ts'

type OpenCell = Spanning & { readonly blocks: Block[] }
type OpenRow = { readonly group: number; readonly cells: OpenCell[] }
type OpenTable = { readonly place: Place; readonly where: string; readonly rows: OpenRow[]; group: number }

type TableBuilder = {
  /** Where blocks are added: the innermost open cell, or the document. */
  readonly sink: () => Block[]
  readonly beginTable: (place: Place, where: string) => void
  readonly endTable: () => void
  readonly beginRow: () => void
  /** Every cell that begins must end. */
  readonly beginCell: (spanning: Spanning) => void
  /** Begins a new row group: cells of the previous group do not reach into it. */
  readonly beginRowGroup: () => void
  readonly endCell: () => void
  /** Returns the blocks of the document; ends tables that are still open. */
  readonly finish: () => Block[]
}

/** `onTakenApart` is called when a grid is taken apart because a cell contains more than text. */
export function createTableBuilder(onTakenApart: (where: string) => void): TableBuilder {
  const document: Block[] = []
  const sinks: Block[][] = [document]
  const tables: OpenTable[] = []
  const sink = (): Block[] => sinks.at(-1) ?? document
  const endTable = (): void => {
    const table = tables.pop()
    // One by one: as arguments of one push they would have to fit on the stack.
    if (table !== undefined) for (const block of toBlocks(table, onTakenApart)) sink().push(block)
  }
  return {
    sink,
    beginTable: (place, where) => void tables.push({ place, where, rows: [], group: 0 }),
    endTable,
    beginRow() {
      const table = tables.at(-1)
      table?.rows.push({ group: table.group, cells: [] })
    },
    beginRowGroup() {
      const table = tables.at(-1)
      if (table !== undefined) table.group += 1
    },
    beginCell(spanning) {
      const cell: OpenCell = { ...spanning, blocks: [] }
      const table = tables.at(-1)
      // A cell outside of a table is an ordinary block.
      if (table === undefined) return void sinks.push(sink())
      if (table.rows.length === 0) table.rows.push({ group: table.group, cells: [] })
      table.rows.at(-1)?.cells.push(cell)
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

function* toBlocks({ place, where, rows }: OpenTable, onTakenApart: (where: string) => void): Generator<Block, void> {
  const filled = withoutEmptyRows(rows)
  const grid = withoutUnusedColumns(placeCells(filled)).map((row) => row.map(cellOf))
  const columns = grid.reduce((most, row) => Math.max(most, columnsOf(row)), 0)
  if (columns < 2 || !filled.every(({ cells }) => cells.every(isText))) {
    if (isGrid(filled)) onTakenApart(where)
    for (const { cells } of filled) for (const { blocks } of cells) yield* blocks
  } else if (columns > MAX_TABLE_COLUMNS) {
    for (const row of grid) yield { ...place, kind: 'paragraph', runs: inOneLine(row) }
  } else {
    yield { ...place, kind: 'table', rows: grid }
  }
}

// A row without visible content is dropped, unless a cell that spans rows counts it.
function withoutEmptyRows(rows: readonly OpenRow[]): OpenRow[] {
  let counted = 0
  return rows.filter(({ cells }, row) => {
    const isCounted = row < counted
    for (const { rows: taken } of cells) counted = Math.max(counted, taken === 0 ? rows.length : row + taken)
    return isCounted || cells.some(({ blocks, rows: taken }) => blocks.length > 0 || taken !== 1)
  })
}

function cellOf({ cell, column, span, rows }: Placed<OpenCell>): Cell {
  return { runs: runsOf(cell), column, span, rows }
}

function columnsOf(row: readonly Cell[]): number {
  const last = row.at(-1)
  return last === undefined ? 0 : last.column + last.span
}

// The other columns of a cell that spans columns or rows stay empty: each value stays in its column.
function inOneLine(row: readonly Cell[]): Run[] {
  const parts: Run[][] = []
  for (const { runs, column } of row) {
    while (parts.length < column) parts.push([])
    parts.push([...runs])
  }
  return joined(parts, ' | ')
}

// Several rows with several filled cells: taking it apart would lose which values belong together.
function isGrid(rows: readonly OpenRow[]): boolean {
  const full = rows.filter(({ cells }) => cells.filter(({ blocks }) => blocks.length > 0).length > 1)
  return full.length > 1
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
