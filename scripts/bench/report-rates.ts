// The slices at fixed rates as a table.
import { cpuOfAll } from './cpu.ts'
import { LOADS, RATE_OF, type RateLoad, type RateRow } from './measure-rates.ts'
import { median } from './statistics.ts'
import { fixed, latencyCells, spread, table } from './table.ts'

const HEAD = ['row', 'calls/s', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU controller', 'CPU all', 'over saturated']

/** Empty if none was run. */
export function rateTable(rows: readonly RateRow[]): string[] {
  if (rows.length === 0) return []
  return [
    `Fixed rates, ${rows[0]?.slices.length ?? 0} short slices of each, two compared servers right after each other`,
    ...table(
      HEAD,
      LOADS.flatMap((load) => rows.map((row) => cells(row, load))),
    ),
    '',
  ]
}

function cells({ name, slices }: RateRow, load: RateLoad): string[] {
  const loads = slices.map((slice) => slice[load])
  return [
    name,
    RATE_OF[load]?.toFixed(0) ?? 'saturated',
    ...latencyCells(loads.map(({ latencyMs }) => latencyMs)),
    spread(
      loads.map(({ cpuUs }) => cpuUs['controller'] ?? Number.NaN),
      0,
    ),
    spread(
      loads.map(({ cpuUs }) => cpuOfAll(cpuUs)),
      0,
    ),
    fixed(median(slices.map((slice) => cpuOfAll(slice[load].cpuUs) / cpuOfAll(slice.saturated.cpuUs))), 2),
  ]
}
