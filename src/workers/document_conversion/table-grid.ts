// Where the cells of a table stand: HTML's algorithm for cells that take several columns or rows, HTML section 4.9.12.
import { MAX_CELL_SEARCH } from './limits.ts'
import { limitFault } from './task.ts'

/** What a cell says of itself. `rows` 0: all that are left of its group. `group`: of rows, such as a tbody. */
export type Spanning = { readonly span: number; readonly rows: number }
export type SpanningRow<C extends Spanning> = { readonly group: number; readonly cells: readonly C[] }
export type Placed<C> = { readonly cell: C; readonly column: number; readonly rows: number }

/** The cells of each row with their columns. @throws {ConversionFault} LIMIT_EXCEEDED for too many merged cells */
export function placeCells<C extends Spanning>(rows: readonly SpanningRow<C>[]): Placed<C>[][] {
  const lastRows = lastRowsOf(rows)
  /** For each column the first row that is free again. */
  const freeFrom: number[] = []
  let searched = 0

  return rows.map(({ group, cells }, row) => {
    let column = 0
    return cells.map((cell) => {
      while ((freeFrom[column] ?? 0) > row) {
        column += 1
        searched += 1
        if (searched > MAX_CELL_SEARCH)
          throw limitFault('a table has too many merged cells: at most a million are read')
      }
      const left = (lastRows.get(group) ?? row) - row + 1
      const placed = { cell, column, rows: cell.rows === 0 ? left : Math.min(cell.rows, left) }
      for (let index = 0; index < cell.span; index += 1) {
        freeFrom[column + index] = Math.max(freeFrom[column + index] ?? 0, row + placed.rows)
      }
      column += cell.span
      return placed
    })
  })
}

function lastRowsOf(rows: readonly { readonly group: number }[]): Map<number, number> {
  return new Map(rows.map(({ group }, row) => [group, row]))
}
