// The trace rows as tables: the cost of a call, how soon its trace is found, lost spans.
import { STEADY_RATE, type TraceLoad, type TraceMeasurement, type TraceRowResult } from './measure-traces.ts'
import { median, sum } from './statistics.ts'
import { fixed, latencyCells, table } from './table.ts'

const PARTS = ['controller', 'worker', 'jaeger', 'generator'] as const
const HEAD = [
  'row',
  'req/s',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  ...PARTS.map((part) => `CPU ${part}`),
  'found p50 ms',
  'p95 ms',
  'p99 ms',
  'traces looked for',
  'queries each',
  'spans',
  'lost',
  'found p95 of every round',
]

/** Empty when they were not run; one line with the reason if there is no Jaeger. */
export function traceTables(measurement: TraceMeasurement): string[] {
  if ('unavailable' in measurement)
    return [`Traces: not measured, Jaeger is not available: ${measurement.unavailable}`, '']
  const { rows } = measurement
  if (rows.length === 0) return []
  return [
    ...rows.map(({ name, what }) => `${name.padEnd(13)}${what}`),
    '',
    `Traces, open loop, ${STEADY_RATE} requests per second; found: from the answer's last byte until Jaeger's API returns the whole trace`,
    ...table(
      HEAD,
      rows.map((row) => cells(row, 'steady')),
    ),
    '',
    'Traces, closed loop at saturation',
    ...table(
      HEAD,
      rows.map((row) => cells(row, 'full')),
    ),
    '',
  ]
}

function cells({ name, rounds }: TraceRowResult, kind: 'steady' | 'full'): string[] {
  const loads = rounds.map((round) => round[kind])
  return [
    name,
    fixed(median(loads.map((load) => load.requests / load.seconds)), 0),
    ...latencyCells(loads.map((load) => load.latencyMs)),
    ...PARTS.map((part) => fixed(median(loads.map((load) => load.cpuUs[part] ?? Number.NaN)), 1)),
    ...traceCells(loads),
  ]
}

/** Empty if nothing was exported. */
function traceCells(loads: readonly TraceLoad[]): string[] {
  const found = loads.flatMap((load) => load.found ?? [])
  const spans = loads.flatMap((load) => load.spans ?? [])
  if (found.length === 0) return []
  const probes = sum(found.map((probed) => probed.probes))
  return [
    ...latencyCells(found.map(({ latencyMs }) => latencyMs)),
    String(probes),
    fixed(sum(found.map(({ asks }) => asks)) / probes, 1),
    String(sum(spans.map(({ expected }) => expected))),
    String(sum(spans.map(({ lost }) => lost))),
    found
      .map(({ latencyMs, missing }) => `${fixed(latencyMs.p95, 0)}${missing > 0 ? ` (${missing} never)` : ''}`)
      .join(' '),
  ]
}
