// Figures as text, in columns.
import { median, medianRange, type Latency } from './statistics.ts'

/** The medians of p50, p95 and p99 over the rounds. */
export function latencyCells(rounds: readonly Latency[]): string[] {
  return (['p50', 'p95', 'p99'] as const).map((rank) =>
    spread(
      rounds.map((round) => round[rank]),
      3,
    ),
  )
}

export function fixed(value: number, decimals: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(decimals)
}

/** The median, and where six rounds or more allow it the interval of 95 %: `12.1 [11.0..13.2]`. */
export function spread(values: readonly number[], decimals: number): string {
  return `${fixed(median(values), decimals)}${interval(values, decimals)}`
}

/** The interval of the median alone, with a space before it; empty where there are too few values. */
export function interval(values: readonly number[], decimals: number): string {
  const range = medianRange(values)
  if (range === undefined || Number.isNaN(range.low) || Number.isNaN(range.high)) return ''
  return ` [${fixed(range.low, decimals)}..${fixed(range.high, decimals)}]`
}

/** Column widths fit the content: words are left-aligned, figures right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) =>
        /^-?[\d.]+( ms|x)?( \[.*\])?$|^-$/.test(cell) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line)]
}
