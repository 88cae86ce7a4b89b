// Of many providers one process calls a few: which ones, how many, and what changes them. Against a plain model.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ANYONE, createChoose, type Seeker } from '../../../src/controller/routing/choose.ts'
import { rankOf } from '../../../src/controller/routing/members.ts'
import { Offer, type WorkerInstance } from '../../../src/controller/routing/offer.ts'
import { withoutWorker, type OfferGroup } from '../../../src/controller/routing/offer-group.ts'
import { Registry } from '../../../src/controller/routing/registry.ts'
import { parseWish } from '../../../src/controller/routing/wish.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { registerIn } from '../../fixtures/registered.ts'
import { groupOf, OFFERED, offeredBy, offerOf } from '../../fixtures/offered.ts'
import { seeded } from '../../fixtures/seeded.ts'

const NOW_MS = 1000
const MINUTE_MS = 60_000
const LEAST_MEMBERS = 16
const everyone = (): boolean => true

/** Providers in the order of a process. */
function providers(count: number, processId = 'a'): WorkerInstance[] {
  return Array.from({ length: count }, (_, at) => offeredBy(`w${at}`, { rank: rankOf(processId, `w${at}`) }))
}

function byRank(workers: readonly WorkerInstance[]): WorkerInstance[] {
  return workers.toSorted((a, b) => a.rank - b.rank)
}

/** The workers that got one of `calls` calls. `held`: no call ends. */
function called(
  group: OfferGroup | undefined,
  { calls = 2000, held = false, nowMs = NOW_MS, seeker = ANYONE, isOpen = everyone as (it: WorkerInstance) => boolean },
): Map<WorkerInstance, number> {
  const choose = createChoose({ random: seeded(7), isOpen })
  const counts = new Map<WorkerInstance, number>()
  for (let i = 0; i < calls; i++) {
    const offer = choose(group, seeker, nowMs)
    if (!(offer instanceof Offer)) throw new Error(offer)
    counts.set(offer.worker, (counts.get(offer.worker) ?? 0) + 1)
    if (held) offer.take()
  }
  return counts
}

function end(counts: ReadonlyMap<WorkerInstance, number>): void {
  for (const [worker, count] of counts) for (let i = 0; i < count; i++) offerOf(worker).release()
}

describe('the members', () => {
  test('are the first by rank that are open and suit; more only while less than a quarter of them is idle', () => {
    const worker = fc.record({
      rank: fc.nat({ max: 1000 }),
      zone: fc.constantFrom('eu', 'eu', 'us'),
      limit: fc.constantFrom(undefined, 1),
      running: fc.constantFrom(0, 1, 1, 1),
      isOpen: fc.constantFrom(true, true, true, false),
    })
    const wishes = fc.constantFrom({}, { require: { zone: 'eu' } }, { require: { zone: 'us' } })
    fc.assert(
      fc.property(fc.array(worker, { minLength: 1, maxLength: 100 }), wishes, fc.nat(), (all, asked, seed) => {
        const workers = all.map((it, at) =>
          offeredBy(`w${at}`, { rank: it.rank, labels: { zone: it.zone }, limit: it.limit }),
        )
        for (const [at, it] of all.entries()) if (it.running === 1) offerOf(workers[at]!).take()
        const facts = (it: WorkerInstance) => all[workers.indexOf(it)]!
        const seeker: Seeker = Object.keys(asked).length === 0 ? ANYONE : { wish: parseWish(asked), tried: undefined }
        const wanted = (asked as { require?: { zone: string } }).require?.zone
        const fits = byRank(workers).filter((it) => wanted === undefined || facts(it).zone === wanted)
        const open = fits.filter((it) => facts(it).isOpen)
        const order = open.length > 0 ? open : fits
        let most = LEAST_MEMBERS
        const idle = (): number => order.slice(0, most).filter((it) => it.inFlight === 0).length
        while (most < order.length && idle() < most / 4) most *= 2
        const allowed = order.slice(0, most).filter((it) => offerOf(it).isFree(NOW_MS))
        const choose = createChoose({ random: seeded(seed), isOpen: (it) => facts(it).isOpen })
        const choice = choose(groupOf(workers), seeker, NOW_MS)
        if (choice instanceof Offer) expect(allowed).toContain(choice.worker)
        else expect([choice, allowed]).toEqual([fits.length === 0 ? 'none' : 'wait', []])
      }),
      { numRuns: 1000 },
    )
  })

  test('are sixteen of ten thousand while calls come one by one, and all of them get calls', () => {
    const workers = providers(10_000)
    const counts = called(groupOf(workers), {})
    expect([...counts.keys()].toSorted((a, b) => a.rank - b.rank)).toEqual(byRank(workers).slice(0, LEAST_MEMBERS))
    for (const count of counts.values()) expect(Math.abs(count - 2000 / LEAST_MEMBERS)).toBeLessThan(60)
  })

  test('grow with the calls at once, so that few workers get a second one while others are idle', () => {
    const workers = providers(1000)
    const group = groupOf(workers)
    const counts = called(group, { calls: 300, held: true })
    expect(counts.size).toBeGreaterThan(150)
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(4)
    end(counts)
    // They stay for a minute, so that a burst that comes back finds its connections.
    expect(called(group, { nowMs: NOW_MS + MINUTE_MS - 1, calls: 5000 }).size).toBeGreaterThan(150)
  })

  test('halve each minute that does not need them, down to sixteen', () => {
    const group = groupOf(providers(1000))
    end(called(group, { calls: 100, held: true }))
    const sizes = [1, 2, 3, 4, 5, 6].map((minutes) => called(group, { nowMs: NOW_MS + minutes * MINUTE_MS }).size)
    expect(sizes.at(-1)).toBe(LEAST_MEMBERS)
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
  })

  test('of fewer providers than sixteen are all of them', () => {
    const workers = providers(15)
    expect(new Set(called(groupOf(workers), {}).keys())).toEqual(new Set(workers))
  })

  test('differ between processes, so that together they call all workers', () => {
    const everybody = new Set<string>()
    for (let process = 0; process < 100; process++) {
      const members = byRank(providers(100, `process ${process}`)).slice(0, LEAST_MEMBERS)
      for (const { workerId } of members) everybody.add(workerId)
    }
    expect(everybody.size).toBe(100)
  })
})

describe('a member', () => {
  test('that leaves is replaced by the next one, and the others stay', () => {
    const workers = providers(100)
    const order = byRank(workers)
    const gone = order[5]!
    const rest = withoutWorker(groupOf(workers)!, gone)
    const expected = order.filter((it) => it !== gone).slice(0, LEAST_MEMBERS)
    expect(new Set(called(rest, {}).keys())).toEqual(new Set(expected))
  })

  test('that is ejected is replaced for as long', () => {
    const workers = providers(100)
    const order = byRank(workers)
    const ejected = new Set(order.slice(0, 12))
    const counts = called(groupOf(workers), { calls: 4000, isOpen: (it) => !ejected.has(it) })
    expect(new Set(counts.keys())).toEqual(new Set(order.slice(12, 12 + LEAST_MEMBERS)))
  })

  test('that is drained or stale gets no call, and comes back to its place', () => {
    const registry = new Registry({
      processId: 'a',
      heartbeatIntervalMs: 1000,
      monotonic: () => 0,
      onGone: () => undefined,
    })
    for (let at = 0; at < 64; at++) {
      registerIn(registry, {
        workerId: `w${at}`,
        spiffeId: parseSpiffeId('spiffe://crank.local/worker/hello-world'),
        origin: `https://127.0.0.1:${at + 1}`,
        capabilities: offeredBy('any').capabilities,
      })
    }
    const before = called(registry.group(OFFERED), { nowMs: MINUTE_MS })
    const [first] = before.keys()
    registry.drain(first!.workerId)
    const during = called(registry.group(OFFERED), { nowMs: MINUTE_MS })
    expect([during.has(first!), during.size]).toEqual([false, LEAST_MEMBERS])
    registry.undrain(first!.workerId)
    const after = called(registry.group(OFFERED), { nowMs: MINUTE_MS })
    expect(new Set(after.keys())).toEqual(new Set(before.keys()))
  })

  test('that is new gets its small share only', () => {
    const workers = providers(100)
    const [young] = byRank(workers)
    young!.liveSinceMs = NOW_MS - 1000
    const counts = called(groupOf(workers), { calls: 10_000 })
    expect(counts.get(young!)).toBeLessThan(130)
    expect(counts.size).toBe(LEAST_MEMBERS)
  })
})

test('labels are looked at before the members are: sixteen of those that have them', () => {
  const workers = Array.from({ length: 1000 }, (_, at) =>
    offeredBy(`w${at}`, { rank: rankOf('a', `w${at}`), labels: { zone: at % 50 === 0 ? 'eu' : 'us' } }),
  )
  const seeker: Seeker = { wish: parseWish({ require: { zone: 'eu' } }), tried: undefined }
  const expected = byRank(workers.filter((it) => it.labels.get('zone') === 'eu')).slice(0, LEAST_MEMBERS)
  expect(new Set(called(groupOf(workers), { seeker }).keys())).toEqual(new Set(expected))
})
