import { describe, expect, test } from 'vitest'
import { createExceptionWatch, type ExceptionWatch } from '../../../src/controller/exceptions/exception-watch.ts'
import type { ExceptionEntry } from '../../../src/policy/data/exception-entries.ts'
import { parseExceptions } from '../../../src/policy/data/exceptions.ts'
import { until } from '../../fixtures/until.ts'

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 10, 24)
const A = 'spiffe://crank.local/worker/a'

type Line = Record<string, unknown>

function entries(expiresMs: number, ...capabilities: string[]): readonly ExceptionEntry[] {
  const entry = { expires_after: BigInt(expiresMs) * 1_000_000n, reason: 'r', owner: 'o' }
  const created = new Date(expiresMs - 80 * DAY_MS).toISOString()
  return parseExceptions({ [A]: { ...entry, capabilities, created_at: created } }).entries
}

function setUp() {
  const lines: Line[] = []
  const used: string[] = []
  const clock = { ms: START_MS }
  const write = (fields: object): void => void lines.push(fields as Line)
  const watch = createExceptionWatch({
    log: { info: write, warn: write, error: write },
    now: () => clock.ms,
    onUsed: (id) => used.push(id),
    lookMs: 1,
  })
  return { watch, lines, used, clock, [Symbol.dispose]: () => watch.close() }
}

const told = (lines: readonly Line[]): unknown[] => lines.map(({ event, days_left: days }) => [event, days])

/** Lets the watch look at the clock. */
async function looked(watch: ExceptionWatch, lines: readonly Line[], count: number): Promise<void> {
  await until('the watch has looked', () => lines.length >= count)
  watch.follow(watch.list().map(({ entry }) => entry))
}

describe('the watch over exceptions', () => {
  test('counts uses and keeps the last, over a change of policy too', () => {
    using it = setUp()
    it.watch.follow(entries(START_MS + 30 * DAY_MS, 'a:b', 'c:d'))
    it.watch.used(`${A}#a:b`)
    it.clock.ms += 5
    it.watch.used(`${A}#a:b`)
    it.watch.follow(entries(START_MS + 40 * DAY_MS, 'a:b', 'e:f'))
    expect(it.watch.list().map(({ entry, uses, lastUsedMs }) => [entry.name, uses, lastUsedMs])).toEqual([
      [`${A}#a:b`, 2, START_MS + 5],
      [`${A}#e:f`, 0, undefined],
    ])
    expect(new Set(it.used).size).toBe(1)
    expect(it.used).toHaveLength(2)
  })

  test('knows nothing of an exception that is not in force', () => {
    using it = setUp()
    it.watch.used(`${A}#a:b`)
    expect(it.used).toEqual([])
    expect(it.watch.list()).toEqual([])
  })

  test('warns seven days and one day before the end, and at the end, once each', async () => {
    using it = setUp()
    it.watch.follow(entries(START_MS + 8 * DAY_MS, 'a:b'))
    await looked(it.watch, it.lines, 0)
    expect(it.lines).toEqual([])
    it.clock.ms = START_MS + DAY_MS
    await looked(it.watch, it.lines, 1)
    it.clock.ms = START_MS + 7 * DAY_MS
    await looked(it.watch, it.lines, 2)
    it.clock.ms = START_MS + 8 * DAY_MS
    await looked(it.watch, it.lines, 3)
    expect(told(it.lines)).toEqual([
      ['exception_expiring', 7],
      ['exception_expiring', 1],
      ['exception_expired', undefined],
    ])
    expect(it.lines[0]).toMatchObject({
      exception: `${A}#a:b`,
      owner: 'o',
      uses: 0,
      expires_at: '2026-12-02T00:00:00.000Z',
    })
  })

  test('warns only of the nearest end that has come when it is started late', () => {
    using it = setUp()
    it.watch.follow(entries(START_MS + DAY_MS / 2, 'a:b'))
    expect(told(it.lines)).toEqual([['exception_expiring', 1]])
  })

  test('says nothing of one that was over before, and warns again of one that was prolonged', () => {
    using it = setUp()
    it.watch.follow(entries(START_MS - 1, 'a:b'))
    expect(it.lines).toEqual([])
    it.watch.follow(entries(START_MS + 6 * DAY_MS, 'a:b'))
    expect(told(it.lines)).toEqual([['exception_expiring', 7]])
    it.watch.follow(entries(START_MS + 5 * DAY_MS, 'a:b'))
    expect(told(it.lines)).toEqual([
      ['exception_expiring', 7],
      ['exception_expiring', 7],
    ])
  })
})
