// What becomes of the keys of a process that is gone: the store is a note of what it was asked.
import { expect, test } from 'vitest'
import type { Begun, Claim, KeyStore } from '../../../src/controller/idempotency/key-store.ts'
import { storeOfProcess } from '../../../src/controller/processes/shared-store.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const claim = (decisionId: string): Claim => ({
  id: new Uint8Array([1]),
  fingerprint: new Uint8Array([2]),
  caller: parseSpiffeId('spiffe://crank.local/worker/streaming'),
  decisionId,
})

function noting(begun: () => Promise<Begun> = () => Promise.resolve({ state: 'begun' })) {
  const ends: string[] = []
  const store: KeyStore = {
    begin: begun,
    end({ decisionId }, { to }) {
      ends.push(`${decisionId} ${to}`)
      return Promise.resolve(true)
    },
    health: () => ({ ok: true, queued: 0, counts: { in_flight: 0, done: 0, unknown: 0, bytes: 0 } }),
    close: () => Promise.resolve(),
  }
  return { ends, own: storeOfProcess(store) }
}

test('only what it still holds becomes unknown', async () => {
  const { ends, own } = noting()
  await own.begin(claim('a'))
  await own.begin(claim('b'))
  await own.end(claim('a'), { to: 'free' })
  own.abandon()
  expect(ends).toEqual(['a free', 'b unknown'])
})

test('a key that the disk had not written yet becomes unknown as soon as it has', async () => {
  const { promise, resolve } = Promise.withResolvers<Begun>()
  const { ends, own } = noting(() => promise)
  const begun = own.begin(claim('a'))
  own.abandon()
  resolve({ state: 'begun' })
  await begun
  expect(ends).toEqual(['a unknown'])
})

test('a key that another request holds is not touched', async () => {
  const { ends, own } = noting(() => Promise.resolve({ state: 'in_flight' }))
  await own.begin(claim('a'))
  own.abandon()
  expect(ends).toEqual([])
})
