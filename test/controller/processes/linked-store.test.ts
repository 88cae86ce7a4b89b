import { expect, test } from 'vitest'
import type { Begun, Claim } from '../../../src/controller/idempotency/key-store.ts'
import { createLinkedStore } from '../../../src/controller/processes/linked-store.ts'
import { until } from '../../fixtures/until.ts'

const CLAIM = { id: 'k', fingerprint: 'f', caller: 'c', decisionId: 'd' } as unknown as Claim

test('a key that the parent gives too late is refused, and given back', async () => {
  const asked: { name: string; ask: unknown }[] = []
  const begun = Promise.withResolvers<Begun>()
  const ask = (name: string, what: unknown): Promise<unknown> => {
    asked.push({ name, ask: what })
    return name === 'begin' ? begun.promise : Promise.resolve(true)
  }
  const store = createLinkedStore({ ask, tell: () => undefined } as never, { answerMs: 20 })
  await expect(store.begin(CLAIM)).rejects.toMatchObject({ code: 'idempotency_unavailable' })
  begun.resolve({ state: 'begun' })
  await until('it is given back', () => asked.length === 2)
  expect(asked[1]).toEqual({ name: 'end', ask: { claim: CLAIM, ending: { to: 'free' } } })
})

test('an answer that the parent does not store in time counts as not stored', async () => {
  const silent = { ask: () => new Promise(() => undefined), tell: () => undefined }
  const store = createLinkedStore(silent as never, { answerMs: 20 })
  expect(await store.end(CLAIM, { to: 'unknown' })).toBe(false)
})
