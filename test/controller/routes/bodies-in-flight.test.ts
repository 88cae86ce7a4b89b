import { expect, test } from 'vitest'
import { createBodiesInFlight, MAX_BODIES } from '../../../src/controller/routes/bodies-in-flight.ts'

const soon = { waitMs: 5 }
const endless = { waitMs: 60_000 }
const four = (bodies: ReturnType<typeof createBodiesInFlight>, owner: string) =>
  Promise.all(Array.from({ length: MAX_BODIES }, () => bodies.enter(owner, 1)))

test('a fifth body of one identity is refused when none of the four ends in time; others are not concerned', async () => {
  const bodies = createBodiesInFlight(soon)
  await four(bodies, 'a')
  await expect(bodies.enter('a', 1)).rejects.toMatchObject({ code: 'overloaded' })
  await expect(bodies.enter('b', 1)).resolves.toBeDefined()
})

test('a fifth body gets its turn when one of the four ends', async () => {
  const bodies = createBodiesInFlight(endless)
  const [first] = await four(bodies, 'a')
  const fifth = bodies.enter('a', 1)
  first![Symbol.dispose]()
  await expect(fifth).resolves.toBeDefined()
})

test('ending twice gives one turn', async () => {
  const bodies = createBodiesInFlight(soon)
  const [first] = await four(bodies, 'a')
  first![Symbol.dispose]()
  first![Symbol.dispose]()
  await bodies.enter('a', 1)
  await expect(bodies.enter('a', 1)).rejects.toMatchObject({ code: 'overloaded' })
})

test('declared lengths count before a byte is there', async () => {
  const bodies = createBodiesInFlight({ ...soon, maxBytes: 100 })
  const first = await bodies.enter('a', 60)
  await expect(bodies.enter('a', 41)).rejects.toMatchObject({ code: 'overloaded' })
  const second = await bodies.enter('a', 40)
  first[Symbol.dispose]()
  second[Symbol.dispose]()
  await expect(bodies.enter('a', 100)).resolves.toBeDefined()
})

test('bytes of undeclared length count as they come, and are given back', async () => {
  const bodies = createBodiesInFlight({ ...soon, maxBytes: 100 })
  const one = await bodies.enter('a', 0)
  const other = await bodies.enter('a', 50)
  one.grow(30)
  expect(() => one.grow(21)).toThrow('too many bodies in flight for one identity')
  one[Symbol.dispose]()
  other.grow(50)
  other[Symbol.dispose]()
  await expect(bodies.enter('a', 100)).resolves.toBeDefined()
})

test('whoever came first is served first, also when a smaller body would fit', async () => {
  const bodies = createBodiesInFlight({ ...endless, maxBytes: 100 })
  const first = await bodies.enter('a', 60)
  const order: string[] = []
  const large = bodies.enter('a', 80).then((body) => {
    order.push('large')
    return body
  })
  const small = bodies.enter('a', 20).then(() => order.push('small'))
  first[Symbol.dispose]()
  await Promise.all([large, small])
  expect(order).toEqual(['large', 'small'])
})

test('one that gives up makes way for those behind it', async () => {
  const bodies = createBodiesInFlight({ waitMs: 20, maxBytes: 100 })
  await bodies.enter('a', 60)
  const [large, small] = await Promise.allSettled([bodies.enter('a', 80), bodies.enter('a', 20)])
  expect([large.status, small.status]).toEqual(['rejected', 'fulfilled'])
})

test('no more than 256 wait', async () => {
  const bodies = createBodiesInFlight(endless)
  const [first] = await four(bodies, 'a')
  const waiting = Array.from({ length: 256 }, () => bodies.enter('a', 0))
  await expect(bodies.enter('a', 0)).rejects.toMatchObject({ code: 'overloaded' })
  first![Symbol.dispose]()
  for (const body of waiting) (await body)[Symbol.dispose]()
})
