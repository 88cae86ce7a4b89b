// The pages of the catalogue, and what a long list of workers looks like in them.
import { expect, test } from 'vitest'
import { allPages } from '../../../src/cli/all-pages.ts'
import { describeCapabilities, describeWorkers } from '../../../src/controller/routing/catalog.ts'
import { Registry } from '../../../src/controller/routing/registry.ts'
import { makeCapability } from '../../../src/core/capability.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { registerIn } from '../../fixtures/registered.ts'
import type { CapabilitiesReply, CapabilitySchema, CatalogQuery, WorkersReply } from '../../../src/core/wire.ts'

const COUNT = 2345
const VIEW = { clock: (ms: number) => ms, withUrls: false }

/** Registered in no order of their names, each with a capability of its own. */
function registryOf(count: number): Registry {
  const registry = new Registry({
    processId: '',
    heartbeatIntervalMs: 10_000,
    monotonic: () => 0,
    onGone: () => undefined,
  })
  for (let i = 0; i < count; i++) {
    const number = (i * 997) % count
    const workerId = `worker-n.${number}`
    const type = { type: 'object' }
    const schema: CapabilitySchema = {
      verb: 'do',
      name: `thing_${number}`,
      version: '1.0.0',
      input_schema: type,
      output_schema: type,
    }
    registerIn(registry, {
      spiffeId: parseSpiffeId(`spiffe://crank.local/worker/n-${number}`),
      workerId,
      origin: `https://127.0.0.1:${10_000 + number}`,
      capabilities: new Map([[makeCapability(schema.verb, schema.name), schema]]),
    })
  }
  return registry
}
const registry = registryOf(COUNT)
const workers = (query: CatalogQuery): WorkersReply => describeWorkers(registry, VIEW, query)
const capabilities = (query: CatalogQuery): CapabilitiesReply =>
  describeCapabilities(registry, { clock: (ms) => ms }, query)
const queryOf = (text: string): CatalogQuery => Object.fromEntries(new URLSearchParams(text))

test('a page has 1000 entries unless fewer are asked for, and says where the next one begins', () => {
  const first = workers({})
  expect(first.workers).toHaveLength(1000)
  expect(first.next).toBeTypeOf('string')
  expect(workers({ limit: '7' }).workers.map(({ worker_id }) => worker_id)).toEqual(
    first.workers.slice(0, 7).map(({ worker_id }) => worker_id),
  )
  expect(workers({ limit: '1000' })).toEqual(first)
})

test('following next gives every worker and every capability once, in the order of their names', async () => {
  const ids = (
    await allPages(
      (query) => Promise.resolve(workers(queryOf(query))),
      (page) => page.workers,
    )
  ).map(({ worker_id }) => worker_id)
  expect(ids).toHaveLength(COUNT)
  expect(new Set(ids).size).toBe(COUNT)
  const names = (
    await allPages(
      (query) => Promise.resolve(capabilities(queryOf(query))),
      (page) => page.capabilities,
    )
  ).map(({ capability }) => capability)
  expect(names).toEqual([...new Set(names)].toSorted())
  expect(names).toHaveLength(COUNT)
})

test('the last page has no next, also when it is full, and behind it there is nothing', () => {
  const all = registryOf(1000)
  const page = describeWorkers(all, VIEW, {})
  expect(page.workers).toHaveLength(1000)
  expect(page).not.toHaveProperty('next')
  expect(describeWorkers(all, VIEW, { after: 'zzz' })).toEqual({ workers: [] })
})

for (const limit of ['0', '1001', '-1', '1.5', '1e2', ' 5', 'all', '', '99999999999999999999']) {
  test(`a limit of "${limit}" is refused`, () => {
    expect(() => workers({ limit })).toThrow('limit must be a whole number from 1 to 1000')
  })
}
