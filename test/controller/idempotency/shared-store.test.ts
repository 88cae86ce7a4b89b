// The keys of a mesh, as two controllers have them in one real NATS server.
import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Claim, KeyStore } from '../../../src/controller/idempotency/key-store.ts'
import { keyOf } from '../../../src/controller/idempotency/shared-entry.ts'
import { createSharedStore } from '../../../src/controller/idempotency/shared-store.ts'
import type { StoreLink } from '../../../src/controller/store/store-link.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { startStoreLinks, type StoreLinks } from '../../fixtures/store-links.ts'
import { until } from '../../fixtures/until.ts'

let links: StoreLinks
let link: StoreLink
let one: KeyStore
let other: KeyStore
beforeAll(async () => {
  links = await startStoreLinks()
  link = links.open().link
  const second = links.open().link
  await until('both links are open', () => link.session() !== undefined && second.session() !== undefined)
  one = storeOver(link)
  other = storeOver(second)
})
afterAll(async () => {
  await Promise.all([one.close(), other.close()])
  await links[Symbol.asyncDispose]()
})

function storeOver({ session }: StoreLink): KeyStore {
  return createSharedStore({ session, now: Date.now, monotonic: () => performance.now() })
}

function claim(key: string, over: Partial<Claim> = {}): Claim {
  const id = createHash('sha256').update(key).digest()
  const caller = parseSpiffeId('spiffe://crank.local/worker/a')
  return { id, fingerprint: id, caller, decisionId: randomUUID(), ...over }
}

/** Resolves when it answers nothing any more, which is a moment after the signal. */
async function stopServer(): Promise<void> {
  const { server } = links
  await server.signal('SIGSTOP')
  const threads = `/proc/${server.child().pid}/task`
  const isStopped = async (id: string) => (await readFile(`${threads}/${id}/stat`, 'utf8')).includes(' T ')
  await until('it is stopped', async () => (await Promise.all((await readdir(threads)).map(isStopped))).every(Boolean))
}

/** What becomes of a claim: its state, or why it is refused. */
const begun = (store: KeyStore, it: Claim): Promise<string> =>
  store.begin(it).then(
    ({ state }) => state,
    (error: unknown) => (error as Error).message,
  )

test('of many claims of one key at both controllers, at once, one begins', async () => {
  for (const key of ['k1', 'k2', 'k3', 'k4']) {
    const states = await Promise.all(Array.from({ length: 16 }, (_, at) => begun(at % 2 ? one : other, claim(key))))
    expect(states.toSorted()).toEqual(['begun', ...Array.from({ length: 15 }, () => 'in_flight')])
  }
})

test('an entry of a newer version is not touched: the call is refused', async () => {
  const it = claim('newer')
  await link.session()!.idempotency.put(keyOf(it), '{"v":2}\n')
  expect(await begun(one, it)).toMatch(/cannot be used: .* has a form that this version does not know/)
  expect((await link.session()!.idempotency.get(keyOf(it)))?.string()).toBe('{"v":2}\n')
})

test('a call is refused when its time is over while the store hangs; its key is free when the store answers again', async () => {
  const late = claim('late', { waitMs: 300 })
  await stopServer()
  const refused = await begun(one, late)
  await links.server.signal('SIGCONT')
  expect(refused).toMatch(/does not answer in the time of this call/)
  await until('the key is free', async () => (await begun(other, claim('late'))) === 'begun')
})

test('an answer that could not be stored is stored when the store answers again', async () => {
  const it = claim('outage')
  expect(await begun(one, it)).toBe('begun')
  await stopServer()
  const answer = { kind: 'answer', status: 200, headers: [], body: Buffer.from('hi') } as const
  expect(await one.end(it, { to: 'done', answer })).toBe(false)
  await links.server.signal('SIGCONT')
  await until('it is stored', async () => (await begun(other, claim('outage'))) === 'done')
})

test('a key that ended as unknown at one controller is unknown at the other, and a freed one is free', async () => {
  const [held, freed] = [claim('held'), claim('freed')]
  await Promise.all([begun(one, held), begun(one, freed)])
  expect(await one.end(held, { to: 'unknown' })).toBe(true)
  expect(await one.end(freed, { to: 'free' })).toBe(true)
  expect(await begun(other, claim('held'))).toBe('unknown')
  expect(await begun(other, claim('freed'))).toBe('begun')
})
