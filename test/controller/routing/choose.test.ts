// The choice against a plain model: who may be chosen, why nobody is, and how calls spread.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ANYONE, createChoose, type Seeker } from '../../../src/controller/routing/choose.ts'
import { MAX_IN_FLIGHT_PER_WORKER, Offer, type WorkerInstance } from '../../../src/controller/routing/offer.ts'
import { startShare } from '../../../src/controller/routing/slow-start.ts'
import { parseWish } from '../../../src/controller/routing/wish.ts'
import { groupOf, offeredBy, offerOf } from '../../fixtures/offered.ts'
import { seeded } from '../../fixtures/seeded.ts'

const NOW_MS = 1000
const everyone = (): boolean => true

function chooser(seed = 1, isOpen: (worker: WorkerInstance) => boolean = everyone) {
  return createChoose({ random: seeded(seed), isOpen })
}

/** How often each worker is chosen in `rounds`; `held`: no call ends. */
function spread(workers: readonly WorkerInstance[], { rounds = 10_000, held = false, nowMs = NOW_MS } = {}): number[] {
  const choose = chooser(7)
  const group = groupOf(workers)
  const counts = workers.map(() => 0)
  for (let i = 0; i < rounds; i++) {
    const offer = choose(group, ANYONE, nowMs)
    if (!(offer instanceof Offer)) throw new Error(offer)
    counts[workers.indexOf(offer.worker)]! += 1
    if (held) offer.take()
  }
  return counts
}

describe('who may be chosen', () => {
  const worker = fc.record({
    weight: fc.integer({ min: 1, max: 100 }),
    version: fc.constantFrom('1.0.0', '1.5.0', '2.0.0'),
    zone: fc.constantFrom('eu', 'us'),
    running: fc.integer({ min: 0, max: 3 }),
    limit: fc.constantFrom(undefined, 1, 2),
    inFlight: fc.constantFrom(0, MAX_IN_FLIGHT_PER_WORKER),
    busyMs: fc.constantFrom(0, 5000),
    isOpen: fc.boolean(),
    isTried: fc.boolean(),
    age: fc.constantFrom(0, 3000, 1e6),
  })
  const asked = fc.record({
    version: fc.constantFrom(undefined, '^1', '>=2', '^9'),
    require: fc.constantFrom(undefined, { zone: 'eu' }, { zone: 'mars' }),
    prefer: fc.constantFrom(undefined, { zone: 'us' }, { zone: 'mars' }),
  })
  type Facts = typeof worker extends fc.Arbitrary<infer T> ? T : never

  const isFree = (it: Facts): boolean =>
    it.running < (it.limit ?? Infinity) && it.inFlight + it.running < MAX_IN_FLIGHT_PER_WORKER && it.busyMs === 0
  const major = (version: string): number => Number(version.split('.')[0])
  const hasVersion = (it: Facts, range: string | undefined): boolean =>
    range === undefined || { '^1': major(it.version) === 1, '>=2': major(it.version) >= 2 }[range] === true

  test('is exactly who is free, open, untried and what the call asks for; else the reason is right', () => {
    fc.assert(
      fc.property(fc.array(worker, { maxLength: 12 }), asked, fc.nat(), (all, wish, seed) => {
        const workers = all.map((it, at) =>
          offeredBy(`w${at}`, {
            weight: it.weight,
            version: it.version,
            labels: { zone: it.zone },
            limit: it.limit,
            inFlight: it.inFlight,
            liveSinceMs: NOW_MS - it.age,
          }),
        )
        for (const [at, it] of all.entries()) {
          for (let i = 0; i < it.running; i++) offerOf(workers[at]!).take()
          if (it.busyMs > 0) offerOf(workers[at]!).closeFor(it.busyMs, NOW_MS)
        }
        const fits = all.filter(
          (it) =>
            !it.isTried &&
            hasVersion(it, wish.version) &&
            (wish.require === undefined || it.zone === wish.require.zone),
        )
        const open = fits.filter((it) => it.isOpen)
        // Where all that fit are closed, one of them is better than none.
        const suits = open.length > 0 ? open : fits
        const free = suits.filter(isFree)
        const preferred = free.filter((it) => wish.prefer === undefined || it.zone === wish.prefer.zone)
        const allowed = preferred.length > 0 ? preferred : free
        const seeker: Seeker = { wish: parseWish(wish), tried: new Set(workers.filter((_, at) => all[at]!.isTried)) }
        const choose = chooser(seed, (it) => all[workers.indexOf(it)]!.isOpen)
        const choice = choose(groupOf(workers), seeker, NOW_MS)
        if (choice instanceof Offer) expect(allowed).toContain(all[workers.indexOf(choice.worker)])
        else {
          const expected = suits.length === 0 ? 'none' : suits.every((it) => it.busyMs > 0) ? 'busy' : 'wait'
          expect([choice, allowed]).toEqual([expected, []])
        }
      }),
      { numRuns: 500 },
    )
  })

  test('a BUSY ends when its time is over, after 30 s at the latest', () => {
    const only = offeredBy('a')
    const offer = offerOf(only)
    const group = groupOf([only])
    offer.closeFor(2000, 0)
    expect([chooser()(group, ANYONE, 1999), chooser()(group, ANYONE, 2000)]).toEqual(['busy', offer])
    offer.closeFor(300_000, 0)
    expect([chooser()(group, ANYONE, 29_999), chooser()(group, ANYONE, 30_000)]).toEqual(['busy', offer])
  })
})

describe('how calls spread', () => {
  test('evenly over equal workers, while they run and while nothing runs', () => {
    const workers = Array.from({ length: 10 }, (_, at) => offeredBy(`w${at}`))
    const counts = spread(workers, { rounds: 4000, held: true })
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(10)
    const idle = spread(Array.from({ length: 10 }, (_, at) => offeredBy(`w${at}`)))
    for (const count of idle) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })

  test.each([
    [[3, 1], false],
    [[3, 1], true],
    [[100, 1, 1, 1, 1, 1, 1, 1, 1, 1], false],
    [[5, 4, 3, 2, 1], false],
    [[5, 4, 3, 2, 1], true],
  ])('by weights %j (calls held: %s)', (weights, held) => {
    const rounds = held ? 400 : 10_000
    const workers = weights.map((weight, at) => offeredBy(`w${at}`, { weight }))
    const counts = spread(workers, { rounds, held })
    const total = weights.reduce((a, b) => a + b)
    for (const [at, weight] of weights.entries()) {
      const fair = (rounds * weight) / total
      expect(counts[at]).toBeGreaterThan(fair * 0.8 - 10)
      expect(counts[at]).toBeLessThan(fair * 1.25 + 10)
    }
  })

  test('less to a slow worker, but not nothing; and more again when it has been quiet', () => {
    const [fast, slow] = [offeredBy('fast'), offeredBy('slow')]
    offerOf(fast).observe(10, false, NOW_MS)
    offerOf(slow).observe(100, false, NOW_MS)
    const [, few = 0] = spread([fast, slow])
    expect(few).toBeGreaterThan(300)
    expect(few).toBeLessThan(700)
    const laterMs = NOW_MS + 60_000
    offerOf(fast).observe(10, false, laterMs)
    const [, more = 0] = spread([fast, slow], { nowMs: laterMs })
    expect(more).toBeGreaterThan(few * 3)
  })

  test('to the worker with less waiting: (in flight + 1) x latency', () => {
    const load = fc.record({ inFlight: fc.integer({ min: 1, max: 50 }), ms: fc.integer({ min: 1, max: 1000 }) })
    fc.assert(
      fc.property(load, load, fc.nat(), (a, b, seed) => {
        const score = (it: typeof a): number => (it.inFlight + 1) * it.ms
        fc.pre(score(a) !== score(b))
        const workers = [a, b].map(({ inFlight }, at) => offeredBy(`w${at}`, { inFlight }))
        for (const [at, { ms }] of [a, b].entries()) offerOf(workers[at]!).observe(ms, false, NOW_MS)
        expect(chooser(seed)(groupOf(workers), ANYONE, NOW_MS)).toBe(offerOf(workers[score(a) < score(b) ? 0 : 1]!))
      }),
    )
  })

  test('a failure counts as slow, however fast it was', () => {
    const [sound, broken] = [offeredBy('sound'), offeredBy('broken')]
    offerOf(sound).observe(10, false, NOW_MS)
    for (let i = 0; i < 3; i++) offerOf(broken).observe(1, true, NOW_MS)
    const [, few = 0] = spread([sound, broken])
    expect(few).toBeLessThan(600)
  })

  test('a worker without samples counts like the others: it is neither flooded nor left out', () => {
    const [known, fresh] = [offeredBy('known'), offeredBy('fresh')]
    offerOf(known).observe(100, false, NOW_MS)
    const [ofKnown = 0, ofFresh = 0] = spread([known, fresh], { rounds: 100, held: true })
    expect(Math.abs(ofKnown - ofFresh)).toBeLessThan(4)
  })
})

describe('slow start', () => {
  test('the share rises from a tenth to all over ten seconds, and never falls', () => {
    expect([0, 1000, 5000, 10_000, 1e9].map(startShare)).toEqual([0.1, 0.1, 0.5, 1, 1])
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 20_000, noNaN: true }),
        fc.double({ min: 0, max: 1e4, noNaN: true }),
        (at, more) => {
          expect(startShare(at + more)).toBeGreaterThanOrEqual(startShare(at))
        },
      ),
    )
  })

  test.each([
    [0, 0.1],
    [5000, 0.5],
    [10_000, 1],
  ])('a worker that has been live for %d ms gets %d of the share of another', (age, share) => {
    for (const held of [false, true]) {
      const rounds = held ? 400 : 10_000
      const workers = [offeredBy('old'), offeredBy('new', { liveSinceMs: NOW_MS - age })]
      const [ofOld = 0, ofNew = 0] = spread(workers, { rounds, held })
      expect(ofNew / ofOld).toBeGreaterThan(share * 0.8 - 0.05)
      expect(ofNew / ofOld).toBeLessThan(share * 1.25 + 0.05)
    }
  })

  test('of all workers at once changes nothing', () => {
    const workers = Array.from({ length: 4 }, (_, at) => offeredBy(`w${at}`, { liveSinceMs: NOW_MS }))
    for (const count of spread(workers)) expect(Math.abs(count - 2500)).toBeLessThan(250)
  })
})
