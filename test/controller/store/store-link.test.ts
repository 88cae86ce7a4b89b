// The link of a controller to three real NATS servers, between which the roads can be cut.
import { expect, test } from 'vitest'
import { createNatsRoads, cut } from '../../fixtures/nats-roads.ts'
import { startStoreLinks } from '../../fixtures/store-links.ts'
import { until } from '../../fixtures/until.ts'

const SEED = 1

test('when its server is cut off from the others, it goes on with another one', async () => {
  await using opened = new AsyncDisposableStack()
  const roads = createNatsRoads(SEED, opened)
  const links = opened.use(await startStoreLinks({ servers: 3, routePort: roads.routePort }))
  const addresses = links.servers.map(({ port }) => `127.0.0.1:${port}`)
  const { link } = links.open()
  const isOpen = () => link.session() !== undefined
  await until('the link is open', isOpen, 30_000)
  const first = link.session()!.nc.getServer()
  await cut(roads.of(addresses.indexOf(first)))
  await until('it is noticed', () => !isOpen(), 30_000)
  await until('the link is open again', isOpen, 30_000)
  expect(link.session()!.nc.getServer()).not.toBe(first)
})
