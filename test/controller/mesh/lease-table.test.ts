// Whatever the order in which controllers learn of the same events, all of them end with the same registrations.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import {
  decodeEntry,
  encodeEntry,
  storeKeyOf,
  supersedes,
  type LeaseEntry,
} from '../../../src/controller/mesh/lease-entry.ts'
import { LeaseTable } from '../../../src/controller/mesh/lease-table.ts'
import { HELLO_SCHEMA } from '../../fakes/worker.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'

const STALE_MS = 30_000
const RENEW_MS = 300_000
const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')

function entry(lease: string, registeredAt: number, over: Partial<LeaseEntry> = {}): LeaseEntry {
  const workerId = over.workerId ?? 'worker-hello-world'
  const body = { worker_id: workerId, worker_url: 'https://127.0.0.1:9100', capabilities: [HELLO_SCHEMA] }
  return {
    spiffeId,
    workerId,
    leaseHash: hashOfLease(lease),
    registeredAt: new Date(Date.UTC(2026, 10, 30) + registeredAt).toISOString(),
    body,
    replaced: new Set(),
    ...over,
  }
}
const ended = (lease: string, registeredAt: number): LeaseEntry => entry(lease, registeredAt, { body: undefined })

function tableAt(clock: { ms: number }): LeaseTable {
  return new LeaseTable({ monotonic: () => clock.ms, staleMs: STALE_MS, renewMs: RENEW_MS })
}
const KEY = storeKeyOf(entry('a', 0))

describe('the truth about a worker', () => {
  test('is the later registration, and the end of a registration over the registration', () => {
    expect(supersedes(entry('b', 2), entry('a', 1))).toBe(true)
    expect(supersedes(entry('a', 1), entry('b', 2))).toBe(false)
    expect(supersedes(ended('a', 1), entry('a', 1))).toBe(true)
    expect(supersedes(entry('a', 1), ended('a', 1))).toBe(false)
    expect(supersedes(ended('a', 1), entry('b', 2))).toBe(false)
  })

  test('does not depend on the order of the news', () => {
    const words = ['a', 'b', 'c'].flatMap((lease, at) => [entry(lease, at), ended(lease, at), entry(`${lease}2`, at)])
    const orders = fc
      .shuffledSubarray(words, { minLength: 1 })
      .chain((some) =>
        fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length, maxLength: some.length })),
      )
    const endOf = (order: readonly LeaseEntry[]): string[] => {
      const table = tableAt({ ms: 0 })
      order.forEach((word, at) => (at % 2 === 0 ? table.seen(KEY, word, at + 1) : table.changed(word)))
      return table.entries().map(({ leaseHash }) => leaseHash)
    }
    fc.assert(
      fc.property(orders, ([one, other]) => {
        expect(endOf(one)).toEqual(endOf(other))
      }),
    )
  })

  test('is written again where the store has an older word, and not where it has a newer one', () => {
    const table = tableAt({ ms: 0 })
    table.changed(entry('b', 2))
    table.wrote(KEY, table.toWrite(KEY)!.entry, 1)
    expect(table.seen(KEY, entry('a', 1), 2)).toBe(false)
    expect(table.toWrite(KEY)).toMatchObject({ revision: 2 })
    expect(table.seen(KEY, entry('c', 3), 3)).toBe(true)
    expect(table.due(10)).toEqual([])
  })
})

describe('a key that the store has lost', () => {
  test('is written again by whoever is sent the heartbeats', () => {
    const clock = { ms: 0 }
    const table = tableAt(clock)
    table.changed(entry('a', 1))
    table.wrote(KEY, table.toWrite(KEY)!.entry, 1)
    clock.ms = STALE_MS
    table.lost(KEY, 2)
    expect(table.toWrite(KEY)).toMatchObject({ revision: 2 })
  })

  test('removes nobody of whom another controller hears, and whoever is silent everywhere', () => {
    const clock = { ms: 0 }
    const table = tableAt(clock)
    table.seen(KEY, entry('a', 1), 1)
    clock.ms = 2 * STALE_MS
    table.heard(KEY, hashOfLease('a'), false)
    clock.ms += STALE_MS
    table.lost(KEY, 2)
    expect(table.renew(false)).toEqual([])
    expect(table.due(10)).toEqual([])
    clock.ms += 1
    expect(table.renew(false)).toMatchObject([{ leaseHash: hashOfLease('a') }])
    expect(table.entries()).toEqual([])
  })

  test('removes nobody whose entry another controller has written again', () => {
    const clock = { ms: 0 }
    const table = tableAt(clock)
    table.seen(KEY, entry('a', 1), 1)
    table.lost(KEY, 2)
    table.seen(KEY, entry('a', 1), 3)
    clock.ms = STALE_MS + 1
    expect(table.renew(false)).toEqual([])
    expect(table.entries()).toHaveLength(1)
  })

  test('while this controller was away removes who is silent, after the others had time to write it again', () => {
    const clock = { ms: 10 * STALE_MS }
    const table = tableAt(clock)
    table.seen(KEY, entry('a', 1), 1)
    clock.ms += 10 * STALE_MS
    table.absent(new Set())
    clock.ms += STALE_MS
    expect(table.renew(false)).toEqual([])
    clock.ms += 1
    expect(table.renew(false)).toMatchObject([{ leaseHash: hashOfLease('a') }])
  })

  test('has the end of a registration written, unless it was written before', () => {
    const table = tableAt({ ms: 0 })
    table.changed(entry('a', 1))
    table.wrote(KEY, table.toWrite(KEY)!.entry, 7)
    table.changed(ended('a', 1))
    table.lost(KEY, 0)
    expect(table.toWrite(KEY)).toMatchObject({ revision: 0, entry: { body: undefined } })
    table.wrote(KEY, table.toWrite(KEY)!.entry, 1)
    table.lost(KEY, 2)
    expect(table.toWrite(KEY)).toBeUndefined()
    expect(table.registeredAt(entry('a', 1))).toBeUndefined()
  })

  test('is written again after the store was lost and made again', () => {
    const table = tableAt({ ms: 0 })
    table.changed(entry('a', 1))
    table.wrote(KEY, table.toWrite(KEY)!.entry, 7)
    table.absent(new Set())
    expect(table.toWrite(KEY)).toMatchObject({ revision: 0 })
  })
})

test('an entry is renewed before it expires, as long as its worker sends heartbeats here', () => {
  const clock = { ms: 0 }
  const table = tableAt(clock)
  table.changed(entry('a', 1))
  table.wrote(KEY, table.toWrite(KEY)!.entry, 1)
  clock.ms = RENEW_MS + 1
  table.renew(false)
  expect(table.due(10)).toEqual([])
  table.heard(KEY, hashOfLease('a'), true)
  table.renew(false)
  expect(table.due(10)).toEqual([KEY])
})

test('the end of a registration is remembered for a while, and then forgotten', () => {
  const clock = { ms: 0 }
  const table = tableAt(clock)
  table.seen(KEY, ended('a', 1), 1)
  table.renew(false)
  expect(table.seen(KEY, entry('a', 1), 2)).toBe(false)
  table.wrote(KEY, table.toWrite(KEY)!.entry, 3)
  clock.ms = 600_001
  table.renew(false)
  expect(table.seen(KEY, entry('a', 1), 4)).toBe(true)
})

describe('an entry in the store', () => {
  test('is read as it was written', () => {
    const one = entry('a', 1, { replaced: new Set(['https://127.0.0.1:1']) })
    expect(decodeEntry(KEY, encodeEntry(one))).toEqual(one)
    expect(decodeEntry(KEY, encodeEntry(ended('a', 1)))).toEqual(ended('a', 1))
  })

  test.each([
    ['another key', storeKeyOf({ spiffeId, workerId: 'other' }), encodeEntry(entry('a', 1)), /key of another worker/],
    ['no JSON', KEY, 'x', /JSON/],
    ['another version', KEY, encodeEntry(entry('a', 1)).replace('"v":1', '"v":2'), /\/v/],
    [
      'a bad lease',
      KEY,
      encodeEntry(entry('a', 1)).replace(/"lease_sha256":"../, '"lease_sha256":"zz'),
      /lease_sha256/,
    ],
  ])('is refused with %s', (_what, key, text, reason) => {
    expect(() => decodeEntry(key, text)).toThrow(reason)
  })
})

test('a controller that could not hear the others says nothing against their workers', () => {
  const clock = { ms: 0 }
  const table = tableAt(clock)
  table.seen(KEY, entry('a', 1), 1)
  table.lost(KEY, 2)
  clock.ms = 10 * STALE_MS
  expect(table.renew(true)).toEqual([])
  clock.ms += STALE_MS
  expect(table.renew(false)).toEqual([])
  clock.ms += 1
  expect(table.renew(false)).toHaveLength(1)
})

test('an entry that the store has lost is written by whoever is sent the heartbeats later', () => {
  const clock = { ms: 0 }
  const table = tableAt(clock)
  table.seen(KEY, entry('a', 1), 1)
  table.lost(KEY, 2)
  clock.ms = STALE_MS
  table.heard(KEY, hashOfLease('a'), true)
  table.renew(false)
  expect(table.toWrite(KEY)).toMatchObject({ revision: 2 })
})

test('the mesh vouches for exactly the registrations that the store has', () => {
  const table = tableAt({ ms: 0 })
  const holder = { spiffeId, workerId: 'worker-hello-world', leaseHash: hashOfLease('a') }
  expect(table.isStored(holder)).toBe(false)
  table.changed(entry('a', 1))
  expect(table.isStored(holder)).toBe(false)
  table.wrote(KEY, table.toWrite(KEY)!.entry, 1)
  expect(table.isStored(holder)).toBe(true)
  expect(table.isStored({ ...holder, leaseHash: hashOfLease('b') })).toBe(false)
  table.lost(KEY, 2)
  expect(table.isStored(holder)).toBe(false)
  table.seen(KEY, ended('a', 1), 3)
  expect(table.isStored(holder)).toBe(false)
})
