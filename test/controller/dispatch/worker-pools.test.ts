// Connections to workers end when nobody calls them, and pools without connections are not kept.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { createWorkerPools } from '../../../src/controller/dispatch/worker-pools.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'

const KEEP_ALIVE_MS = 1000

/** A worker on a plain socket, and pools with a clock that tests set. */
async function startPools() {
  const waiting: ServerResponse[] = []
  const server = createServer((request, response) => {
    if (request.url === '/slow') waiting.push(response)
    else request.resume().on('end', () => response.end('hello'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clock = { ms: 0 }
  const passed = { bytes: 0 }
  const pools = createWorkerPools({
    connectorFor: () => (_options, callback) => {
      const socket = connect(port, '127.0.0.1', () => callback(null, socket))
    },
    source: { onChange: () => () => undefined },
    monotonic: () => clock.ms,
    onBytes: (bytes) => (passed.bytes += bytes),
    keepAliveMs: KEEP_ALIVE_MS,
    lookMs: 5,
  })
  const target = (name: string) => ({
    spiffeId: parseSpiffeId(`spiffe://crank.local/worker/${name}`),
    origin: `http://127.0.0.1:${port}`,
  })
  return {
    pools,
    clock,
    passed,
    waiting,
    target,
    async [Symbol.asyncDispose]() {
      await pools.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

test('a pool that nobody calls ends; one in use stays', async () => {
  await using it = await startPools()
  const [idle, used] = [it.target('idle'), it.target('used')]
  const first = it.pools.poolOf(idle)
  const other = it.pools.poolOf(used)
  await (await first.request({ path: '/', method: 'GET' })).body.dump()
  it.clock.ms = KEEP_ALIVE_MS
  expect(it.pools.poolOf(used)).toBe(other)
  it.clock.ms = KEEP_ALIVE_MS + 1
  await expect.poll(() => first.closed).toBe(true)
  expect(it.pools.poolOf(used)).toBe(other)
  const next = it.pools.poolOf(idle)
  expect(next).not.toBe(first)
  expect((await next.request({ path: '/', method: 'GET' })).statusCode).toBe(200)
})

test('a pool with a call in flight stays, however long it takes', async () => {
  await using it = await startPools()
  const target = it.target('slow')
  const pool = it.pools.poolOf(target)
  const answer = pool.request({ path: '/slow', method: 'GET' })
  await expect.poll(() => it.waiting.length).toBe(1)
  it.clock.ms = 10 * KEEP_ALIVE_MS
  const idle = it.pools.poolOf(it.target('idle'))
  it.clock.ms = 20 * KEEP_ALIVE_MS
  // Looked at after the slow one, in the same pass.
  await expect.poll(() => idle.closed).toBe(true)
  expect(it.pools.poolOf(target)).toBe(pool)
  it.waiting[0]!.end('late')
  expect(await (await answer).body.text()).toBe('late')
})

test('the bytes of bodies are counted in both directions', async () => {
  await using it = await startPools()
  const body = Buffer.alloc(100_000)
  const answer = await it.pools.poolOf(it.target('any')).request({ path: '/', method: 'POST', body })
  await answer.body.dump()
  // The answer adds its head.
  expect(it.passed.bytes).toBeGreaterThan(body.length)
  expect(it.passed.bytes).toBeLessThan(body.length + 1000)
})
