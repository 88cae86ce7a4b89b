import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createConnectionsHeld } from '../../../src/controller/identity/connections-held.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const A = parseSpiffeId('spiffe://crank.local/worker/a')
const B = parseSpiffeId('spiffe://crank.local/worker/b')
const socketOf = (): Socket => new EventEmitter() as unknown as Socket

test('an identity holds its part, others are not concerned, and a closed connection makes room', () => {
  let identified = 0
  let refused = 0
  const held = createConnectionsHeld({ max: 2, onIdentified: () => (identified += 1), onRefused: () => (refused += 1) })
  const [first, second, third] = [socketOf(), socketOf(), socketOf()]
  held.take(first, A)
  held.take(second, A)
  expect(() => held.take(third, A)).toThrow(/holds 2 connections/)
  // A request that was sent right behind the first one.
  expect(() => held.check(third)).toThrow(/holds 2 connections/)
  expect(() => held.check(first)).not.toThrow()
  held.take(socketOf(), B)
  first.emit('close')
  third.emit('close')
  held.take(socketOf(), A)
  expect(() => held.check(third)).not.toThrow()
  expect([identified, refused]).toEqual([5, 1])
})
