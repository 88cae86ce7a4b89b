// The proxy does what its faults say, on real sockets.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../../scripts/lab/fault-proxy.ts'
import { seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const SEED = 7
const ANSWER = 'x'.repeat(1000)

let target: Server
let proxy: FaultProxy
const taken: Socket[] = []
beforeEach(async () => {
  target = createServer((socket) => {
    taken.push(socket.on('error', () => undefined))
    socket.on('data', () => socket.write(ANSWER))
  })
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  proxy = await startFaultProxy(target.address() as AddressInfo, { seed: SEED, random: seeded(SEED) })
})
afterEach(async () => {
  await proxy.close()
  for (const socket of taken.splice(0)) socket.destroy()
  target.close()
  await once(target, 'close')
})

type Asked = { received: number; end: 'open' | 'fin' | 'reset'; socket: Socket }

function ask(): Asked {
  const asked: Asked = { received: 0, end: 'open', socket: connect(proxy.port, '127.0.0.1') }
  asked.socket.on('data', (chunk: Buffer) => (asked.received += chunk.length))
  asked.socket.on('end', () => (asked.end = 'fin'))
  asked.socket.on('error', () => (asked.end = 'reset'))
  asked.socket.write('?')
  return asked
}

async function isAnswered(asked: Asked): Promise<void> {
  await until('the answer has come', () => asked.received === ANSWER.length)
  asked.socket.destroy()
}

test('without a fault everything passes', async () => {
  await isAnswered(ask())
  expect(proxy.connections()).toBe(1)
  expect(proxy.seed).toBe(SEED)
})

test('silence holds what is sent, and lets it pass when it ends', async () => {
  await proxy.set({ silence: true })
  const asked = ask()
  await until('the connection is taken', () => proxy.connections() === 1)
  const free = await startFaultProxy(target.address() as AddressInfo, { seed: SEED, random: seeded(SEED) })
  const other = connect(free.port, '127.0.0.1')
  other.write('?')
  await once(other, 'data')
  expect(asked.received).toBe(0)
  await proxy.set({})
  await isAnswered(asked)
  other.destroy()
  await free.close()
})

test('truncation ends an answer as if it were complete, after exactly so many bytes', async () => {
  await proxy.set({ truncateAfter: 300 })
  const asked = ask()
  await until('the end has come', () => asked.end !== 'open')
  expect({ received: asked.received, end: asked.end }).toEqual({ received: 300, end: 'fin' })
})

test('a reset is an RST', async () => {
  await proxy.set({ resetAfter: 300 })
  const asked = ask()
  await until('the end has come', () => asked.end !== 'open')
  expect(asked.end).toBe('reset')
  expect(asked.received).toBeLessThanOrEqual(300)
})

test('every open connection can be reset at once', async () => {
  const asked = ask()
  await until('the answer has come', () => asked.received === ANSWER.length)
  expect(proxy.resetAll()).toBe(1)
  await until('the end has come', () => asked.end === 'reset')
})

test('connections are refused, and taken again at the same port', async () => {
  await proxy.set({ refuse: true })
  const refused = ask()
  await until('the end has come', () => refused.end === 'reset')
  await proxy.set({})
  await isAnswered(ask())
})

test('an answer that drips comes whole, in pieces', async () => {
  await proxy.set({ drip: { bytes: 100, everyMs: 5 } })
  const startMs = performance.now()
  await isAnswered(ask())
  expect(performance.now() - startMs).toBeGreaterThan(35)
})

test('latency is added both ways, and a lost chunk comes late', async () => {
  await proxy.set({ latencyMs: 30 })
  let startMs = performance.now()
  await isAnswered(ask())
  expect(performance.now() - startMs).toBeGreaterThan(55)
  await proxy.set({ loss: 1 })
  startMs = performance.now()
  await isAnswered(ask())
  expect(performance.now() - startMs).toBeGreaterThan(390)
})
