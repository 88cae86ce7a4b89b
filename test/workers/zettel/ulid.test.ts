import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createUlids } from '../../../src/workers/zettel/ulid.ts'

const NOON = Date.UTC(2026, 10, 24, 12)
const bytes = (value: number) => (size: number) => new Uint8Array(size).fill(value)

/** The time in a ULID, read by the specification: base 32, the first ten digits. */
function timeOf(ulid: string): number {
  const digits = Array.from(ulid.slice(0, 10)).map((digit) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(digit))
  return digits.reduce((value, digit) => value * 32 + digit, 0)
}

describe('a ULID', () => {
  test('is the time and 80 bits of chance, in Crockford base 32', () => {
    // The example of https://github.com/ulid/javascript.
    expect(createUlids({ now: () => 1469918176385, random: bytes(0) })()).toBe('01ARYZ6S410000000000000000')
    expect(createUlids({ now: () => 2 ** 48 - 1, random: bytes(255) })()).toBe('7ZZZZZZZZZZZZZZZZZZZZZZZZZ')
  })

  test('follows the one before by one within a millisecond', () => {
    const next = createUlids({ now: () => NOON, random: bytes(0) })
    expect([next(), next(), next()].map((ulid) => ulid.slice(10))).toStrictEqual([
      '0000000000000000',
      '0000000000000001',
      '0000000000000002',
    ])
  })

  test('goes on with the next millisecond when all 80 bits are used up', () => {
    const next = createUlids({ now: () => NOON, random: bytes(255) })
    const [first, second] = [next(), next()]
    expect(second > first).toBe(true)
    expect(timeOf(second)).toBe(NOON + 1)
  })

  test('is new at each start, with chance of its own', () => {
    expect(createUlids({ now: () => NOON })()).not.toBe(createUlids({ now: () => NOON })())
  })

  test('keeps the order whatever the clock does, and the time where the clock runs', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 ** 48 - 1000 }), { minLength: 1 }),
        fc.nat(255),
        (times, chance) => {
          const clock = times.values()
          const next = createUlids({ now: () => clock.next().value ?? 0, random: bytes(chance) })
          const ulids = times.map(() => next())
          for (const ulid of ulids) expect(ulid).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
          expect(new Set(ulids).size).toBe(ulids.length)
          expect(ulids).toStrictEqual(ulids.toSorted())
          expect(timeOf(ulids[0]!)).toBe(times[0])
        },
      ),
    )
  })
})
