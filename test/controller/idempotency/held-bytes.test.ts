// The memory of calls with a key: limited for each caller and in all, and given back.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeldBytes } from '../../../src/controller/idempotency/held-bytes.ts'

test('one caller cannot take what is left for others', () => {
  const hold = createHeldBytes({ perCaller: 10, total: 15 })
  const [a, b] = [hold('a'), hold('b')]
  expect(a.add(10)).toBe(true)
  expect(a.add(1)).toBe(false)
  expect(hold('a').add(1)).toBe(false)
  expect(b.add(5)).toBe(true)
  expect(b.add(1)).toBe(false)
  a.release()
  a.release()
  expect(b.add(5)).toBe(true)
})

test('no history exceeds a limit, and at the end everything is free again', () => {
  const step = fc.record({ call: fc.nat(5), bytes: fc.nat(8), release: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const hold = createHeldBytes({ perCaller: 10, total: 15 })
      const calls = Array.from({ length: 6 }, (_, index) => ({
        caller: `c${index % 3}`,
        holding: hold(`c${index % 3}`),
        own: 0,
      }))
      const sum = (caller?: string): number =>
        calls.filter((it) => caller === undefined || it.caller === caller).reduce((total, { own }) => total + own, 0)
      for (const { call, bytes, release } of steps) {
        const it = calls[call]!
        if (release) {
          it.holding.release()
          it.own = 0
        } else {
          const fits = sum(it.caller) + bytes <= 10 && sum() + bytes <= 15
          expect(it.holding.add(bytes)).toBe(fits)
          if (fits) it.own += bytes
        }
      }
      for (const { holding } of calls) holding.release()
      expect(hold('c0').add(10)).toBe(true)
    }),
  )
})
