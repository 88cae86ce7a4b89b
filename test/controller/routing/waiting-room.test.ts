// Calls that wait for a worker: none waits while an offer that fits is free, whatever happens in whatever order, and each ends
// once, by its deadline.
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ANYONE, suits, type Seeker } from '../../../src/controller/routing/choose.ts'
import { Offer, type WorkerInstance } from '../../../src/controller/routing/offer.ts'
import { WaitingRoom, type NoOffer } from '../../../src/controller/routing/waiting-room.ts'
import { parseWish } from '../../../src/controller/routing/wish.ts'
import { PRIORITIES, type Priority } from '../../../src/core/decision.ts'
import { groupOf, offeredBy, OFFERED, offerOf } from '../../fixtures/offered.ts'

const LIMITS = { perCapability: 5, inAll: 5, bytes: 1000 }

type Guest = {
  readonly priority: Priority
  readonly seeker: Seeker
  readonly untilMs: number
  readonly leave: () => void
  result: Offer | NoOffer | undefined
}

type Asked = { priority?: Priority; seeker?: Seeker; bytes?: number; timeoutMs?: number }

/** A room with workers that come, go and answer BUSY, on the fake clock. */
function setUp() {
  let workers: WorkerInstance[] = []
  const guests: Guest[] = []
  const running: Offer[] = []
  const groups = () => groupOf(workers)
  const room = new WaitingRoom({ groupOf: groups, isOpen: () => true, monotonic: () => Date.now(), limits: LIMITS })
  const unlist = (worker: WorkerInstance): void => {
    workers = workers.filter((other) => other !== worker)
    worker.isListed = false
    room.closed(worker)
  }
  return {
    room,
    guests,
    running,
    workers: () => workers,
    unlist,
    list(worker: WorkerInstance) {
      workers = [...workers, worker]
      worker.isListed = true
      room.opened(worker)
    },
    enter({ priority = 'normal', seeker = ANYONE, bytes = 0, timeoutMs = 10_000 }: Asked = {}): Guest {
      let leave = (): void => undefined
      const guest: Guest = {
        priority,
        seeker,
        untilMs: Date.now() + timeoutMs,
        leave: () => leave(),
        result: undefined,
      }
      guests.push(guest)
      const watch = (onLeave: () => void): void => void (leave = onLeave)
      void room.enter({ capability: OFFERED, priority, seeker, bytes, timeoutMs, watch }).then((result) => {
        expect(guest.result).toBeUndefined()
        guest.result = result
        if (result instanceof Offer) running.push(result)
      })
      return guest
    },
    end(offer: Offer) {
      running.splice(running.indexOf(offer), 1)
      offer.release()
      room.freed(offer)
    },
    waiting: () => guests.filter(({ result }) => result === undefined),
  }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a call that waits', () => {
  test('never waits beside a free offer that fits, and ends by its deadline: any sequence of events', async () => {
    const zone = fc.constantFrom('eu', 'us')
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('enter' as const),
        priority: fc.constantFrom(...PRIORITIES),
        zone: fc.option(zone),
        ms: fc.integer({ min: 1, max: 3000 }),
      }),
      fc.record({ kind: fc.constant('end' as const), at: fc.nat(10) }),
      fc.record({ kind: fc.constant('busy' as const), at: fc.nat(10), ms: fc.integer({ min: 1, max: 2000 }) }),
      fc.record({ kind: fc.constant('leave' as const), at: fc.nat(10) }),
      fc.record({ kind: fc.constant('list' as const), zone, limit: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ kind: fc.constant('unlist' as const), at: fc.nat(3) }),
      fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1500 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 50 }), async (events) => {
        const it = setUp()
        for (const next of events) {
          if (next.kind === 'enter') {
            const seeker =
              next.zone === null ? ANYONE : { wish: parseWish({ require: { zone: next.zone } }), tried: undefined }
            // As the step does: only a call that finds nothing free waits.
            const isFree = it
              .workers()
              .some((worker) => offerOf(worker).isFree(Date.now()) && suits(offerOf(worker), seeker))
            const fits = it.workers().some((worker) => suits(offerOf(worker), seeker))
            if (fits && !isFree) it.enter({ priority: next.priority, seeker, timeoutMs: next.ms })
            else if (isFree) {
              const offer = it
                .workers()
                .map((worker) => offerOf(worker))
                .find((one) => one.isFree(Date.now()) && suits(one, seeker))!
              offer.take()
              it.running.push(offer)
            }
          } else if (next.kind === 'end' || next.kind === 'busy') {
            const offer = it.running[next.at]
            if (offer === undefined) continue
            if (next.kind === 'busy') {
              offer.closeFor(next.ms, Date.now())
              it.room.busy(offer)
            }
            it.end(offer)
          } else if (next.kind === 'leave') it.waiting()[next.at]?.leave()
          else if (next.kind === 'list')
            it.list(offeredBy(`w${Math.random()}`, { labels: { zone: next.zone }, limit: next.limit }))
          else if (next.kind === 'unlist') {
            const worker = it.workers()[next.at]
            if (worker !== undefined) it.unlist(worker)
          } else await pass(next.ms)
          await pass(0)
          const nowMs = Date.now()
          for (const worker of it.workers()) {
            const offer = offerOf(worker)
            expect(offer.inFlight).toBeLessThanOrEqual(offer.limit)
            if (offer.isFree(nowMs)) expect(it.waiting().filter(({ seeker }) => suits(offer, seeker))).toEqual([])
          }
          for (const guest of it.waiting()) {
            expect(guest.untilMs).toBeGreaterThan(nowMs)
            expect(it.workers().some((worker) => suits(offerOf(worker), guest.seeker))).toBe(true)
          }
          expect(it.waiting().length).toBe(it.room.lengths().get(OFFERED) ?? 0)
          expect(it.waiting().length).toBeLessThanOrEqual(LIMITS.perCapability)
        }
        await pass(5000)
        expect(it.waiting()).toEqual([])
        const taken = new Set(it.running)
        expect([...taken].reduce((sum, offer) => sum + offer.inFlight, 0)).toBe(it.running.length)
        it.room.close()
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  test('ends with the reason', async () => {
    const it = setUp()
    const worker = offeredBy('a', { limit: 1 })
    it.list(worker)
    offerOf(worker).take()
    const [left, late, low] = [it.enter(), it.enter({ timeoutMs: 50 }), it.enter({ priority: 'low' })]
    left.leave()
    await pass(50)
    for (let i = 0; i < 5; i++) it.enter({ priority: 'high' })
    const refused = it.enter({ priority: 'high' })
    const large = it.enter({ priority: 'high', bytes: 1001 })
    await pass(0)
    expect([left, late, low, refused, large].map(({ result }) => result)).toEqual([
      'left',
      'timed_out',
      'displaced',
      'full',
      'full',
    ])
    it.unlist(worker)
    await pass(0)
    expect(it.guests.filter(({ result }) => result === 'none')).toHaveLength(5)
  })

  test('keeps its place while its worker registers again', async () => {
    const it = setUp()
    const [before, after] = [offeredBy('a', { limit: 1 }), offeredBy('a', { limit: 1 })]
    it.list(before)
    offerOf(before).take()
    const guest = it.enter()
    it.unlist(before)
    it.list(after)
    await pass(0)
    expect(guest.result).toBe(offerOf(after))
  })

  test('never gets a slot of a worker that has gone', async () => {
    const it = setUp()
    const [gone, left] = [offeredBy('gone', { limit: 1 }), offeredBy('left', { limit: 1 })]
    for (const worker of [gone, left]) {
      it.list(worker)
      offerOf(worker).take()
    }
    it.running.push(offerOf(gone))
    const guest = it.enter()
    it.unlist(gone)
    it.end(offerOf(gone))
    await pass(0)
    expect(guest.result).toBeUndefined()
    it.running.push(offerOf(left))
    it.end(offerOf(left))
    await pass(0)
    expect(guest.result).toBe(offerOf(left))
  })
})
