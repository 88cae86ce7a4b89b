// The link of a controller to three real NATS servers, between which the roads can be cut.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../../../scripts/lab/fault-proxy.ts'
import { startNats } from '../../../scripts/lab/nats-server.ts'
import { openStoreLink } from '../../../src/controller/store/store-link.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { connectNats } from '../../../src/platform/nats/connect-nats.ts'
import { seeded } from '../../fixtures/seeded.ts'
import { until } from '../../fixtures/until.ts'

const SEED = 1

test('when its server is cut off from the others, it goes on with another one', async () => {
  await using opened = new AsyncDisposableStack()
  const dir = opened.adopt(await mkdtemp(join(tmpdir(), 'crank-link-')), (it) => rm(it, { recursive: true }))
  const roads: { readonly ends: readonly number[]; readonly road: FaultProxy }[] = []
  const routePort = async ({ from, to, port }: { from: number; to: number; port: number }): Promise<number> => {
    const road = await startFaultProxy({ port }, { seed: SEED, random: seeded(SEED) })
    opened.defer(() => road.close())
    roads.push({ ends: [from, to], road })
    return road.port
  }
  const nats = opened.use(await startNats({ dir, servers: 3, routePort }))
  const addresses = nats.servers.map(({ port }) => `127.0.0.1:${port}`)
  const id = parseSpiffeId('spiffe://crank.local/nats')
  const target = { servers: addresses, isTls: false, id, replicas: 3 }
  const source = { current: () => Promise.reject(new Error('plain text')) as never }
  const log = { info: () => undefined, warn: () => undefined }
  const link = openStoreLink({
    connect: () => connectNats({ target, source, name: 'test' }),
    ...{ replicas: 3, monotonic: () => performance.now(), log },
  })
  opened.defer(link.close)
  const isOpen = () => link.session() !== undefined
  await until('the link is open', isOpen, 30_000)
  const cut = addresses.indexOf(link.session()!.nc.getServer())
  for (const { ends, road } of roads) if (ends.includes(cut)) await road.set({ silence: true })
  await until('it is noticed', () => !isOpen(), 30_000)
  await until('the link is open again', isOpen, 30_000)
  expect(link.session()!.nc.getServer()).not.toBe(addresses[cut])
})
