// Positions of the cells of a table: HTML's algorithm for cells that span columns or rows, HTML section 4.9.12.
import { MAX_CELL_SEARCH } from './limits.ts'
import { limitFault } from './task.ts'

/** The span that a cell declares. `rows` 0: all remaining rows of its group. `group`: a row group, such as a tbody. */
export type Spanning = { readonly span: number; readonly rows: number }
type SpanningRow<C extends Spanning> = { readonly group: number; readonly cells: readonly C[] }
export type Placed<C> = { readonly cell: C; readonly column: number; readonly span: number; readonly rows: number }

/** The cells of each row with their columns. @throws {ConversionFault} LIMIT_EXCEEDED for too many merged cells */
export function placeCells<C extends Spanning>(rows: readonly SpanningRow<C>[]): Placed<C>[][] {
  const lastRows = lastRowsOf(rows)
  /** For each column the first row that is free. */
  const freeFrom: number[] = []
  let searched = 0
  const search = (columns: number): void => {
    searched += columns
    if (searched > MAX_CELL_SEARCH) throw limitFault('a table has too many merged cells: at most a million are read')
  }

  return rows.map(({ group, cells }, row) => {
    let column = 0
    return cells.map((cell) => {
      while ((freeFrom[column] ?? 0) > row) {
        column += 1
        search(1)
      }
      const left = (lastRows.get(group) ?? row) - row + 1
      const placed = { cell, column, span: cell.span, rows: cell.rows === 0 ? left : Math.min(cell.rows, left) }
      if (placed.rows > 1) {
        search(cell.span)
        for (let index = column; index < column + cell.span; index += 1) freeFrom[index] = row + placed.rows
      }
      column += cell.span
      return placed
    })
  })
}

/** Drops columns in which no cell begins: a title over 99 columns of a two-column table spans two. */
export function withoutUnusedColumns<C>(grid: readonly Placed<C>[][]): Placed<C>[][] {
  const begun = [...new Set(grid.flatMap((row) => row.map(({ column }) => column)))].sort((a, b) => a - b)
  const columnOf = new Map(begun.map((column, index) => [column, index]))
  return grid.map((row) =>
    row.map((placed) => {
      const column = columnOf.get(placed.column) ?? 0
      let end = column + 1
      while ((begun[end] ?? Number.POSITIVE_INFINITY) < placed.column + placed.span) end += 1
      return { ...placed, column, span: end - column }
    }),
  )
}

function lastRowsOf(rows: readonly { readonly group: number }[]): Map<number, number> {
  return new Map(rows.map(({ group }, row) => [group, row]))
}
