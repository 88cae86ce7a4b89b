// The block list of a mesh as one controller keeps it, over a real NATS server whose bucket somebody damages by hand.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startNats, type NatsCluster } from '../../scripts/lab/nats-server.ts'
import { openBlockList } from '../../src/controller/mesh/block-list.ts'
import { openStoreLink, type StoreSession } from '../../src/controller/store/store-link.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { connectNats } from '../../src/platform/nats/connect-nats.ts'
import { blockKey, encodeBlock, type BlockEntry } from '../../src/policy/data/block-entry.ts'
import { until } from '../fixtures/until.ts'

const by = parseSpiffeId('spiffe://crank.local/operator/ada')
const word = (name: string, isBlocked = true): BlockEntry => ({
  ...{ section: 'capabilities', name, isBlocked, by, reason: 'INC-12' },
  at: '2026-12-01T00:00:00.000Z',
})

let dir: string
let nats: NatsCluster
const events: string[] = []
const note = (fields: object): void => void events.push(String((fields as { event?: string }).event))
const log = { info: () => undefined, warn: note, error: note }
const opened = new AsyncDisposableStack()
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-block-list-'))
  nats = await startNats({ dir })
})
afterAll(async () => {
  await opened.disposeAsync()
  await nats[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

async function open(name: string) {
  const servers = nats.servers.map(({ port }) => `127.0.0.1:${port}`)
  const target = { servers, isTls: false, id: by, replicas: 1 }
  const connect = () => connectNats({ target, source: { current: () => ({}) as never }, name })
  const link = openStoreLink({ connect, replicas: 1, monotonic: performance.now.bind(performance), log })
  opened.adopt(link, (it) => it.close())
  const file = join(dir, `${name}.json`)
  const list = opened.adopt(await openBlockList({ link, file, log }), (it) => it.close())
  await list.viewed(5000)
  // A part that joins begins another session.
  let bucket: StoreSession['blocks'] | undefined
  await until('the store is there', () => {
    bucket = link.session()?.blocks
    return bucket !== undefined && list.known().isCurrent
  })
  const names = (): string[] =>
    (list.known().entries ?? []).flatMap((entry) => (entry.isBlocked ? [entry.name] : [])).sort()
  return { list, file, names, bucket: bucket! }
}

test('what is deleted or overwritten by hand stays blocked; only an unblock lifts it', async () => {
  const { names, bucket, file, list } = await open('a')
  for (const name of ['a:a', 'b:b']) await bucket.put(blockKey(word(name)), encodeBlock(word(name)))
  await until('both are blocked', () => names().length === 2)
  await bucket.delete(blockKey(word('a:a')))
  await until('the loss is reported', () => events.includes('mesh_block_missing'))
  // Not JSON, and a lift that is stored under the key of another name.
  for (const text of ['{', encodeBlock(word('x:x', false)), encodeBlock({ ...word('b:b', false), at: 'now' })]) {
    await bucket.put(blockKey(word('b:b')), text)
  }
  await bucket.put(blockKey(word('c:c')), encodeBlock(word('c:c')))
  await until('the last word has come', () => names().includes('c:c'))
  expect(names()).toEqual(['a:a', 'b:b', 'c:c'])
  expect(events).toContain('mesh_block_ignored')

  await list.close()
  expect(await readFile(file, 'utf8')).toContain('"name":"a:a"')
  const again = await open('a')
  expect(again.names()).toEqual(['a:a', 'b:b', 'c:c'])
  await bucket.put(blockKey(word('b:b')), encodeBlock(word('b:b', false)))
  await until('one is lifted', () => again.names().join() === 'a:a,c:c')
})

test('a file that cannot be used is reported, and the list of the store counts', async () => {
  await writeFile(join(dir, 'broken.json'), '{"v":1,"entries":{"x":{}}}')
  const { list } = await open('broken')
  expect(events).toContain('mesh_blocks_file_ignored')
  expect(list.known()).toMatchObject({ isCurrent: true, entries: expect.any(Array) as unknown })
})
