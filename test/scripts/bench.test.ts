// The bench works, from certificates to JSON. Nothing here looks at a time: what is fast is for people to read.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { holdAgainstBudgets } from '../../scripts/bench/budgets.ts'
import { cpuOfAll } from '../../scripts/bench/cpu.ts'
import { estimateSeconds, inWords } from '../../scripts/bench/estimate.ts'
import { isFailed } from '../../scripts/bench/judge.ts'
import { overloadRatios, type OverloadRow } from '../../scripts/bench/measure-overload.ts'
import { cachedTable } from '../../scripts/bench/measure-cached.ts'
import type { LoadResult } from '../../scripts/bench/jobs.ts'
import type { RouteRow } from '../../scripts/bench/measure.ts'
import type { TraceLoad, TraceRound } from '../../scripts/bench/measure-traces.ts'
import { parseOptions } from '../../scripts/bench/options.ts'
import { failedBudgets, tables, type Report } from '../../scripts/bench/report.ts'
import { ROWS, type RowName } from '../../scripts/bench/rows.ts'
import { latencyOf, median, medianRange } from '../../scripts/bench/statistics.ts'
import { spread } from '../../scripts/bench/table.ts'
import { until } from '../fixtures/until.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const LIMIT_MS = 240_000
const SET = ['--set', 'CRANK_AUDIT_SYNC=write']

/** A run that measured nothing. */
const NOTHING: Parameters<typeof holdAgainstBudgets>[0] = {
  policy: [],
  manifests: [],
  routes: [],
  rates: [],
  bodies: [],
  cached: [],
  refusals: [],
  traces: [],
  overload: overloadRatios([]),
  providers: { at: () => [], addedMiB: [] },
  idle: [],
  rotation: [],
  reloads: [],
}

function judgedIn(budgets: Report['budgets']): string[] {
  return budgets.filter(({ mark }) => mark !== 'not run').map(({ what }) => what)
}

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
  'a quick run measures many providers and an idle controller',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'providers,idle'])
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    expect(report.providers.map(({ providers, rounds }) => [providers, rounds.length])).toEqual([
      [10, 1],
      [1000, 1],
      [10_000, 1],
    ])
    for (const { rounds } of report.providers) expect(rounds[0]).toMatchObject({ failed: 0 })
    expect(report.idle.map(({ rounds }) => rounds.length)).toEqual([1])
    expect(tables(report)).toContain('Providers of one capability')
  },
  LIMIT_MS,
)

test(
  'a quick run shows that a controller that rotates all the time records every call',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'rotation'])
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    for (const { answered, recorded } of report.rotation) expect(recorded).toBe(answered)
    expect(report.rotation.map(({ segments }) => segments > 1)).toEqual([false, true])
    expect(judgedIn(report.budgets)).toEqual([
      'p99 while the audit log rotates all the time / without',
      'answered calls that are not on record',
    ])
    expect(tables(report)).toContain('Rotation of the audit log')
  },
  LIMIT_MS,
)

test(
  'a quick run loads every row asked for and prints one JSON object',
  async () => {
    const { out, ended } = startBench([
      '--quick',
      '--json',
      '--only',
      'policy,forward,bare,traced,sidecar,keyed',
      ...SET,
    ])
    expect(await ended, out.stderr).toEqual([0, null])
    expect(out.stderr).toMatch(/^this takes about \d+ (s|minutes) on two cores/)
    const report = JSON.parse(out.stdout) as Report
    expect(report).toMatchObject({ quick: true, rounds: 1, machine: { node: process.version } })
    expect(report.policy.map(({ engine, concurrency }) => [engine, concurrency])).toEqual([
      ['embedded', 1],
      ['sidecar', 1],
      ['sidecar', 8],
    ])
    expect(report.routes.map(({ name }) => name)).toEqual(['forward', 'bare', 'traced', 'sidecar', 'keyed'])
    for (const { rounds } of report.routes) {
      expect(rounds).toEqual([
        { closed: expect.objectContaining({ failed: 0 }), open: expect.objectContaining({ failed: 0 }) },
      ])
    }
    const cpuOf = (name: RowName) =>
      Object.keys(report.routes.find((row) => row.name === name)!.rounds[0]!.closed.cpuUs)
    expect(cpuOf('traced')).toEqual(['controller', 'worker', 'generator', 'collector'])
    expect(cpuOf('sidecar')).toEqual(['controller', 'worker', 'generator', 'opa'])
    expect(judgedIn(report.budgets)).toEqual(['policy evaluation, p95, embedded', 'policy evaluation, p95, sidecar'])
    expect(tables(report)).toContain('Every controller has CRANK_AUDIT_SYNC=write')
    expect(tables(report)).toContain('Budgets (docs/performance.md)')
  },
  LIMIT_MS,
)

test(
  'a quick run loads the same servers at fixed rates, and asks both engines with more and more manifests',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'rates,manifests'])
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    expect(report.routes).toEqual([])
    expect(report.rates.map(({ name, slices }) => [name, slices.length])).toEqual([
      ['forward', 3],
      ['full', 3],
      ['traced', 3],
    ])
    for (const { slices } of report.rates) {
      for (const slice of slices) {
        expect(Object.keys(slice)).toEqual(['saturated', 'per1000', 'per200'])
        expect(Object.values(slice).map(({ failed }) => failed)).toEqual([0, 0, 0])
        // By the clock: the last of 20 calls at 200 per second is due after 100 ms.
        expect(slice.per200.seconds).toBeGreaterThanOrEqual(0.1)
      }
    }
    expect(report.manifests.map(({ engine, manifests }) => `${engine} ${manifests}`)).toEqual(
      ['embedded', 'sidecar'].flatMap((engine) => [10, 100, 1000].map((manifests) => `${engine} ${manifests}`)),
    )
    const printed = tables(report)
    expect(printed).toContain('Fixed rates, 3 short slices of each')
    expect(printed).toContain('Policy evaluation by the number of manifests')
  },
  LIMIT_MS,
)

test(
  'a quick run measures event streams through the controller and directly',
  async () => {
    const { out, ended } = startBench(['--quick', '--json', '--only', 'events'])
    expect(await ended, out.stderr).toEqual([0, null])
    const report = JSON.parse(out.stdout) as Report
    expect(report.events.map(({ way, rounds }) => [way, rounds.map(({ events }) => events)])).toEqual([
      ['direct', [10]],
      ['controller', [10]],
    ])
    // Both processes read one clock: an event arrives after it was written.
    for (const { rounds } of report.events) expect(rounds[0]!.latencyMs.p50).toBeGreaterThan(0)
    expect(tables(report)).toContain('Event streams: from the write of the worker to the caller')
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

  test('a figure is printed with the interval of its median, once the rounds allow one', () => {
    expect(spread([1, 2, 3], 1)).toBe('2.0')
    expect(spread([1, 2, 3, 4, 5, 9], 1)).toBe('3.5 [1.0..9.0]')
    expect(spread([], 1)).toBe('-')
  })

  test('the CPU of all leaves out what loads the servers and what takes their spans', () => {
    expect(cpuOfAll({ controller: 100, opa: 50, worker: 7, generator: 1000, collector: 1000, jaeger: 1000 })).toBe(157)
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
      holdAgainstBudgets({ ...NOTHING, routes: [row('forward', forward), row('full', full)] }).find(
        ({ what }) => what === 'CPU, whole pipeline / the same server, only forwarding',
      )!
    expect(budget([12, 120, 40])).toMatchObject({ mark: 'met', measured: 1.2, rounds: [1.2, 1.2, 4] })
    expect(budget([12, 140, 40])).toMatchObject({ mark: 'missed', measured: 1.4 })
    // With rounds enough their noise counts: a budget that lies within it is neither met nor missed.
    const seven = new Array<number>(7).fill(10)
    expect(budget([12, 12, 12, 12, 12, 12, 14], seven)).toMatchObject({ mark: 'unclear', measured: 1.2 })
    expect(budget([10, 11, 12, 12, 12, 12, 13], seven)).toMatchObject({ mark: 'met', measured: 1.2 })
    const missed = budget([16, 16, 16, 17, 18, 19, 20], seven)
    expect(missed).toMatchObject({ mark: 'missed', measured: 1.7 })
    // Only that fails a run: three rounds prove nothing.
    expect(isFailed(missed)).toBe(true)
    expect(isFailed(budget([12, 140, 40]))).toBe(false)
    expect(failedBudgets({ quick: false, budgets: [missed] })).toEqual([missed])
    expect(failedBudgets({ quick: true, budgets: [missed] })).toEqual([])
  })

  test('what a row adds in ms is told from noise by many slices, and never fails a run', () => {
    const at = (ms: number): LoadResult => ({
      ...{ requests: 1, failed: 0, seconds: 1, cpuUs: {} },
      latencyMs: { p50: ms, p95: ms, p99: ms },
    })
    const slices = (times: number[]) => times.map((ms) => ({ saturated: at(1), per200: at(ms), per1000: at(1) }))
    const budget = (traced: number[]) =>
      holdAgainstBudgets({
        ...NOTHING,
        rates: [
          { name: 'full', slices: slices(traced.map(() => 2)) },
          { name: 'traced', slices: slices(traced) },
        ],
      }).find(({ what }) => what === 'exporting spans, p95 added, 200/s')!
    expect(budget([2.5, 2.5, 2.5])).toMatchObject({ mark: 'unclear', measured: 0.5 })
    expect(budget([2.5, 2.5, 2.5, 2.5, 2.5, 2.5])).toMatchObject({ mark: 'met', measured: 0.5 })
    expect(budget([2.5, 2.5, 2.5, 2.5, 2.5, 9])).toMatchObject({ mark: 'unclear', measured: 0.5 })
    const missed = budget([5, 5, 5, 5, 5, 9])
    expect(missed).toMatchObject({ mark: 'missed', measured: 3 })
    expect(isFailed(missed)).toBe(false)
  })

  test('the cache is compared with the peer in the same mix of callers, by the CPU of all processes', () => {
    const load = (cpuUs: Record<string, number>): LoadResult => ({
      ...{ requests: 1, failed: 0, seconds: 1, latencyMs: { p50: 1, p95: 1, p99: 1 } },
      cpuUs,
    })
    const cached = [
      {
        name: 'sidecar-cached' as const,
        callers: 1000,
        rounds: [{ ...load({ controller: 200, opa: 100 }), hits: 0.7 }],
      },
      { name: 'nginx-opa' as const, callers: 1000, rounds: [load({ controller: 100, opa: 300 })] },
    ]
    const line = holdAgainstBudgets({ ...NOTHING, cached }).find(({ what }) => what.includes('decision cache on'))!
    expect(line).toMatchObject({ measured: 0.75, mark: 'met', limit: '<= 0.9x' })
    const [, , row] = cachedTable(cached)
    expect(row).toMatch(/^sidecar-cached .* 70\.0 % .* 0\.75 /)
  })

  test('peers are compared by the CPU of all processes, bodies by that of the server', () => {
    const load = (cpuUs: Record<string, number>): LoadResult => ({
      ...{ requests: 1, failed: 0, seconds: 1, latencyMs: { p50: 1, p95: 1, p99: 1 } },
      cpuUs,
    })
    const row = (name: RowName, cpuUs: Record<string, number>): RouteRow => ({
      ...{ name, what: '' },
      rounds: [{ closed: load(cpuUs), open: load(cpuUs) }],
    })
    const budgets = holdAgainstBudgets({
      ...NOTHING,
      routes: [
        row('full', { controller: 200, worker: 20 }),
        row('sidecar', { controller: 300, opa: 300, worker: 30 }),
        row('nginx-opa', { controller: 100, opa: 280, worker: 20 }),
        row('nginx-opa-bac95cf', { controller: 100, opa: 860, worker: 40 }),
      ],
      bodies: [
        {
          direction: 'down',
          controller: [load({ controller: 30, worker: 50 })],
          forward: [load({ controller: 25, worker: 50 })],
          nginx: [load({ controller: 20, worker: 50 })],
        },
      ],
    })
    const measured = budgets.filter(({ what }) => judgedIn(budgets).includes(what)).map(({ measured: value }) => value)
    expect(measured).toEqual([0.22, 0.55, 1.575, 1.5])
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
    holdAgainstBudgets({ ...NOTHING, traces: [{ name: 'shipped', what: '', rounds }] })
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
      ...NOTHING,
      overload: overloadRatios([
        row('alone', 100, 2, 3),
        row('beside 32 connections: the peak', 1000, 10, 20),
        row('high, beside three times the peak', goodput, 10, highP99),
        row('beside a caller with 200 connections', 1000, loudP95, 20),
        row('beside a flood of strangers', 100, strangersP95, 20),
        row('beside a flood of malformed requests', 100, malformedP95, 20),
      ]),
    })
      .filter(({ mark }) => mark !== 'not run')
      .map(({ mark }) => mark)

  test('calls are compared with the peak, floods with the caller alone, and the worse flood counts', () => {
    expect(marksOf(900, 60, 20, 4, 4)).toEqual(['met', 'met', 'met', 'met'])
    expect(marksOf(899, 61, 21, 5, 4)).toEqual(['missed', 'missed', 'missed', 'missed'])
    expect(marksOf(900, 60, 20, 4, 5)).toEqual(['met', 'met', 'met', 'missed'])
  })

  test('without the rows they are not run', () => {
    const budgets = holdAgainstBudgets(NOTHING)
    expect(new Set(budgets.map(({ mark }) => mark))).toEqual(new Set(['not run']))
  })
})

test('what a run takes grows with its rows and rounds, and is said in seconds or minutes', () => {
  const secondsOf = (...args: string[]): number => {
    const options = parseOptions(args)
    if (options === 'help') throw new Error('help')
    const wants = (name: string) => options.only.includes(name)
    return estimateSeconds(
      options,
      ROWS.filter(({ name }) => wants(name)),
      wants,
    )
  }
  const one = secondsOf('--only', 'full', '--rounds', '1')
  expect(one).toBeGreaterThan(60)
  expect(secondsOf('--only', 'full', '--rounds', '3')).toBeGreaterThan(one)
  expect(secondsOf('--only', 'full,bodies', '--rounds', '1')).toBeGreaterThan(one)
  expect(secondsOf('--only', 'full', '--quick')).toBeLessThan(one)
  expect([inWords(12.3), inWords(600)]).toEqual(['13 s', '10 minutes'])
})

test('unknown rows and numbers that are none are refused', () => {
  expect(() => parseOptions(['--only', 'apache'])).toThrow('must be one of forward, bare')
  expect(() => parseOptions(['--rounds', '0'])).toThrow('must be a whole number')
  expect(() => parseOptions(['--set', 'crank'])).toThrow('--set "crank": must be NAME=value')
  expect(parseOptions(['--set', 'LOG_LEVEL=warn', '--set', 'CRANK_X=a=b'])).toMatchObject({
    set: { LOG_LEVEL: 'warn', CRANK_X: 'a=b' },
  })
  expect(parseOptions(['--only', 'full,forward', '--rounds', '3'])).toMatchObject({
    only: ['full', 'forward'],
    rounds: 3,
  })
})
