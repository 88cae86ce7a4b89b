// The bench works, from certificates to JSON. Nothing here looks at a time: what is fast is for people to read.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { holdAgainstBudgets } from '../../scripts/bench/budgets.ts'
import { overloadRatios, type OverloadRow } from '../../scripts/bench/measure-overload.ts'
import type { LoadResult } from '../../scripts/bench/jobs.ts'
import type { RouteRow } from '../../scripts/bench/measure.ts'
import type { TraceLoad, TraceRound } from '../../scripts/bench/measure-traces.ts'
import { parseOptions } from '../../scripts/bench/options.ts'
import { tables, type Report } from '../../scripts/bench/report.ts'
import type { RowName } from '../../scripts/bench/rows.ts'
import { latencyOf, median, medianRange } from '../../scripts/bench/statistics.ts'
import { until } from '../fixtures/until.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const LIMIT_MS = 240_000

/** Starts `bench` and gives its output as it grows, and the folders that it has below `.crank`. */
function startBench(args: string[], env: NodeJS.ProcessEnv = {}) {
  const folders = () => globSync(`.crank/bench-${child.pid!}-*`, { cwd: ROOT })
  const options = { cwd: ROOT, stdio: 'pipe', env: { ...process.env, ...env } } as const
  const child = spawn(process.execPath, [join(ROOT, 'scripts/bench.ts'), ...args], options)
  const out = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out.stderr += text))
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  return { child, out, ended, folders }
}

test(
  'a quick run loads every row asked for and prints one JSON object',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'policy,forward,traced,sidecar,keyed'])
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    expect(report).toMatchObject({ quick: true, rounds: 1, machine: { node: process.version } })
    expect(report.policy.map(({ engine, concurrency }) => [engine, concurrency])).toEqual([
      ['embedded', 1],
      ['sidecar', 1],
      ['sidecar', 8],
    ])
    expect(report.routes.map(({ name }) => name)).toEqual(['forward', 'traced', 'sidecar', 'keyed'])
    for (const { rounds } of report.routes) {
      expect(rounds).toEqual([
        { closed: expect.objectContaining({ failed: 0 }), open: expect.objectContaining({ failed: 0 }) },
      ])
    }
    const cpuOf = (name: RowName) =>
      Object.keys(report.routes.find((row) => row.name === name)!.rounds[0]!.closed.cpuUs)
    expect(cpuOf('traced')).toEqual(['controller', 'worker', 'generator', 'collector'])
    expect(cpuOf('sidecar')).toEqual(['controller', 'worker', 'generator', 'opa'])
    expect(
      report.budgets.map(({ mark }) => mark).filter((mark) => mark === 'not run' || mark === 'later'),
    ).toHaveLength(20)
    expect(tables(report)).toContain('Budgets (docs/performance.md)')
  },
  LIMIT_MS,
)

test(
  'without a Jaeger the trace rows say why they are missing, and the run goes on',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'traces'], { JAEGER_BIN: '/nowhere' })
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    const reason = expect.stringContaining('JAEGER_BIN=/nowhere is not an executable file') as string
    expect(report.traces).toEqual({ unavailable: reason, rows: [] })
    expect(tables(report)).toContain('Traces: not measured, Jaeger is not available: JAEGER_BIN=/nowhere')
    const marks = report.budgets.filter(({ what }) => /trace|spans/.test(what)).map(({ mark }) => mark)
    expect(new Set(marks)).toEqual(new Set(['not run']))
  },
  LIMIT_MS,
)

test(
  'Ctrl-C ends a run with everything it has started',
  async () => {
    const { child, out, ended, folders } = startBench(['--only', 'forward'])
    // One that was killed long ago may have had the same pid.
    const there = folders()
    const own = () => folders().filter((name) => !there.includes(name))
    await until('the bench has started', () => own().length > 0)
    child.kill('SIGINT')
    expect(await ended, out.stderr).toEqual([1, null])
    expect(own()).toEqual([])
    expect(out.stdout).toBe('')
  },
  LIMIT_MS,
)

describe('figures', () => {
  test('percentiles are nearest ranks of the sorted values', () => {
    const values = Float64Array.from({ length: 100 }, (_, at) => 100 - at)
    expect(latencyOf(values)).toEqual({ p50: 50, p95: 95, p99: 99 })
  })

  test('a median is the middle one, or the mean of the middle two', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  test('the range of a median leaves out as many rounds on either side as 95 % allow', () => {
    const upTo = (n: number): number[] => Array.from({ length: n }, (_, at) => n - at)
    expect(medianRange(upTo(5))).toBeUndefined()
    expect(medianRange(upTo(6))).toEqual({ low: 1, high: 6 })
    expect(medianRange(upTo(9))).toEqual({ low: 2, high: 8 })
    expect(medianRange(upTo(15))).toEqual({ low: 4, high: 12 })
    expect(medianRange(upTo(25))).toEqual({ low: 8, high: 18 })
  })

  test('a ratio is taken within each round, and its median held against the budget', () => {
    const load = (controller: number): LoadResult => ({
      requests: 1,
      failed: 0,
      seconds: 1,
      cpuUs: { controller },
      latencyMs: { p50: 1, p95: 1, p99: 1 },
    })
    const row = (name: RowName, cpu: number[]): RouteRow => ({
      name,
      what: '',
      rounds: cpu.map((us) => ({ closed: load(us), open: load(us) })),
    })
    const budget = (full: number[], forward = [10, 100, 10]) =>
      holdAgainstBudgets({
        policy: [],
        refusals: [],
        traces: [],
        overload: overloadRatios([]),
        routes: [row('forward', forward), row('full', full)],
      }).find(({ what }) => what === 'CPU, whole pipeline over forwarding')
    expect(budget([14, 140, 40])).toMatchObject({ mark: 'met', measured: 1.4, rounds: [1.4, 1.4, 4] })
    expect(budget([14, 160, 40])).toMatchObject({ mark: 'missed', measured: 1.6 })
    // With rounds enough their noise counts: a budget that lies within it is neither met nor missed.
    const seven = new Array<number>(7).fill(10)
    expect(budget([14, 14, 14, 14, 14, 14, 16], seven)).toMatchObject({ mark: 'unclear', measured: 1.4 })
    expect(budget([11, 12, 13, 14, 14, 14, 14], seven)).toMatchObject({ mark: 'met', measured: 1.4 })
    expect(budget([16, 16, 16, 17, 18, 19, 20], seven)).toMatchObject({ mark: 'missed', measured: 1.7 })
  })
})

describe('budgets of the traces', () => {
  const round = (foundP95: number, lost: number, missing = 0): TraceRound => {
    const load: TraceLoad = {
      requests: 1,
      failed: 0,
      seconds: 1,
      cpuUs: {},
      latencyMs: { p50: 1, p95: 1, p99: 1 },
      found: { latencyMs: { p50: 1, p95: foundP95, p99: 99 }, probes: 10, asks: 20, missing },
      spans: { expected: 50, lost },
    }
    return { steady: load, full: load }
  }
  const marksOf = (rounds: TraceRound[]) =>
    holdAgainstBudgets({
      policy: [],
      routes: [],
      refusals: [],
      traces: [{ name: 'shipped', what: '', rounds }],
      overload: overloadRatios([]),
    })
      .filter(({ what }) => /^trace found|^spans/.test(what))
      .map(({ mark }) => mark)

  test('the median of the rounds counts for the time, the worst round for what is lost', () => {
    expect(marksOf([round(80, 0), round(120, 0), round(90, 0)])).toEqual(['met', 'met', 'met', 'met'])
    expect(marksOf([round(110, 0), round(120, 1), round(90, 0)])).toEqual(['missed', 'met', 'missed', 'missed'])
  })

  test('a trace that was never found misses its budget, however soon the others were', () => {
    expect(marksOf([round(10, 0, 1)])).toEqual(['missed', 'missed', 'met', 'met'])
  })
})

describe('budgets of overload', () => {
  /** Answered per second, and p95 and p99 of the watched caller in ms. */
  const row = (name: string, answered: number, p95: number, p99: number): OverloadRow => {
    const load = (perSecond: number) => ({ answered: perSecond, refused: 0, latencyMs: { p50: 1, p95, p99 } })
    return { name, rounds: [{ watched: load(100), crowd: load(answered - 100) }] }
  }
  const marksOf = (goodput: number, highP99: number, loudP95: number, strangersP95: number, malformedP95: number) =>
    holdAgainstBudgets({
      policy: [],
      routes: [],
      refusals: [],
      traces: [],
      overload: overloadRatios([
        row('alone', 100, 2, 3),
        row('beside 32 connections: the peak', 1000, 10, 20),
        row('high, beside three times the peak', goodput, 10, highP99),
        row('beside a caller with 200 connections', 1000, loudP95, 20),
        row('beside a flood of strangers', 100, strangersP95, 20),
        row('beside a flood of malformed requests', 100, malformedP95, 20),
      ]),
    })
      .filter(({ mark }) => mark !== 'not run' && mark !== 'later')
      .map(({ mark }) => mark)

  test('calls are compared with the peak, floods with the caller alone, and the worse flood counts', () => {
    expect(marksOf(900, 60, 20, 4, 4)).toEqual(['met', 'met', 'met', 'met'])
    expect(marksOf(899, 61, 21, 5, 4)).toEqual(['missed', 'missed', 'missed', 'missed'])
    expect(marksOf(900, 60, 20, 4, 5)).toEqual(['met', 'met', 'met', 'missed'])
  })

  test('without the rows they are not run', () => {
    const budgets = holdAgainstBudgets({
      policy: [],
      routes: [],
      refusals: [],
      traces: [],
      overload: overloadRatios([]),
    })
    expect(new Set(budgets.map(({ mark }) => mark))).toEqual(new Set(['not run', 'later']))
  })
})

test('unknown rows and numbers that are none are refused', () => {
  expect(() => parseOptions(['--only', 'nginx'])).toThrow('must be one of policy, forward')
  expect(() => parseOptions(['--rounds', '0'])).toThrow('must be a whole number')
  expect(parseOptions(['--only', 'full,forward', '--rounds', '3'])).toMatchObject({
    only: ['full', 'forward'],
    rounds: 3,
  })
})
