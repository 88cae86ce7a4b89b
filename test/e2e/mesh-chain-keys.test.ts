// The keys for chains of calls that the controllers of a mesh share: one set for all, replaced without a refused call. The parts of
// three controllers over a real NATS server, with a day of four seconds.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startNats, type NatsCluster } from '../../scripts/lab/nats-server.ts'
import { createCallChains, type CallChains } from '../../src/controller/chain/call-chains.ts'
import { ensureChainKey } from '../../src/controller/chain/chain-key.ts'
import { watchChainKeys } from '../../src/controller/chain/chain-key-watch.ts'
import { openChainKeys } from '../../src/controller/mesh/chain-keys.ts'
import { inUse } from '../../src/controller/mesh/key-order.ts'
import { openStoreLink } from '../../src/controller/store/store-link.ts'
import { newChain } from '../../src/core/call-chain.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { connectNats } from '../../src/platform/nats/connect-nats.ts'
import { until } from '../fixtures/until.ts'

const PACE = { rotateMs: 4000, signAfterMs: 2000 }
const ROTATIONS = 3
const worker = parseSpiffeId('spiffe://crank.local/worker/streaming')
const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
const DECISION = '0198b5a0-0000-7000-8000-000000000001'

let dir: string
let nats: NatsCluster
const opened = new AsyncDisposableStack()
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-chain-keys-'))
  nats = await startNats({ dir })
})
afterAll(async () => {
  await opened.disposeAsync()
  await nats[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

type Part = { readonly file: string; readonly chains: CallChains }

async function startPart(name: string): Promise<Part> {
  const target = {
    servers: nats.servers.map(({ port }) => `127.0.0.1:${port}`),
    isTls: false,
    id: worker,
    replicas: 1,
  }
  const connect = () => connectNats({ target, source: { current: () => ({}) as never }, name })
  const link = opened.adopt(
    openStoreLink({ connect, replicas: 1, monotonic: performance.now.bind(performance), log }),
    (it) => it.close(),
  )
  const file = join(dir, name, 'chain.key')
  const keys = opened.adopt(openChainKeys({ link, file, now: Date.now, log, pace: PACE }), (it) => it.close())
  await keys.viewed(3000)
  await ensureChainKey(file)
  const watch = opened.adopt(await watchChainKeys(file, { log }), ({ close }) => close())
  return { file, chains: createCallChains({ keys: watch.keys, now: Date.now }) }
}
const linesOf = async ({ file }: Part): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n')

test('the first key signs at once, a new one only after the delay, and older ones verify', () => {
  const key = (name: string, at: number) => ({ key: name, at })
  expect(inUse([key('a', 100)], 100, 50)).toEqual(['a'])
  expect(inUse([key('b', 200), key('a', 100)], 249, 50)).toEqual(['a', 'b'])
  expect(inUse([key('b', 200), key('a', 100)], 250, 50)).toEqual(['b', 'a'])
  expect(inUse([key('c', 300), key('b', 200), key('a', 100)], 310, 50)).toEqual(['b', 'c', 'a'])
})

test('controllers that start at once use one key, each has it in a private file, and it changes without a refused call', async () => {
  const parts = await Promise.all(['a', 'b', 'c'].map(startPart))
  const [first] = await linesOf(parts[0]!)
  for (const part of parts) {
    expect((await linesOf(part))[0]).toBe(first)
    expect((await stat(part.file)).mode & 0o777).toBe(0o600)
  }
  const seen = new Set<string>()
  let calls = 0
  await until(
    `there were ${ROTATIONS} rotations`,
    async () => {
      const tokens = parts.map(({ chains }) =>
        chains.handOn({ decisionId: DECISION, chain: newChain(worker) }, worker, 1000),
      )
      await delay(10)
      // What one has signed, every other accepts: read throws otherwise.
      for (const token of tokens) for (const { chains } of parts) expect(chains.read(token, worker).depth).toBe(1)
      calls += tokens.length * parts.length
      for (const line of await linesOf(parts[0]!)) seen.add(line)
      return seen.size > ROTATIONS
    },
    60_000,
  )
  expect(calls).toBeGreaterThan(100)
  // Once per day, not once per controller.
  expect((await linesOf(parts[1]!)).length).toBeLessThanOrEqual(4)
})

test('a controller that starts while the store is away has its own key, and after that those of the mesh', async () => {
  await nats.servers[0]!.signal('SIGSTOP')
  const late = await startPart('late')
  const [own] = await linesOf(late)
  const token = late.chains.handOn({ decisionId: DECISION, chain: newChain(worker) }, worker, 60_000)
  await nats.servers[0]!.signal('SIGCONT')
  await until('it has the keys of the mesh', async () => (await linesOf(late)).length > 1)
  const lines = await linesOf(late)
  expect(lines[0]).not.toBe(own)
  expect(lines).toContain(own)
  expect(late.chains.read(token, worker).depth).toBe(1)
})
