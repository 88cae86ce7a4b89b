// With the listener of a TLS server replaced by one that only notes whose turn it was, and bare emitters as sockets.
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { paceHandshakes, type HandshakeLine } from '../../../src/controller/edge/handshake-line.ts'

/** What the first half of each handshake costs. */
const COST_MS = 2

let nowMs = 0
let isBusy = true
let dropped = 0
let begun: string[] = []
let server: EventEmitter
let line: HandshakeLine
beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'],
  })
  nowMs = 1000
  isBusy = true
  dropped = 0
  begun = []
  server = new EventEmitter()
  server.on('connection', ({ remoteAddress }: Socket) => {
    begun.push(remoteAddress!)
    nowMs += COST_MS
  })
  line = paceHandshakes(server as unknown as Server, {
    monotonic: () => nowMs,
    isBusy: () => isBusy,
    maxWaiting: 10,
    onDropped: () => (dropped += 1),
  })
})
afterEach(() => {
  line.close()
  vi.useRealTimers()
})

function connect(remoteAddress: string, speaks = true): Socket & { destroyed: boolean } {
  const socket = Object.assign(new EventEmitter(), { remoteAddress, readableLength: 500, destroyed: false, destroy })
  function destroy(): void {
    socket.destroyed = true
  }
  server.emit('connection', socket)
  if (speaks) socket.emit('readable')
  return socket as unknown as Socket & { destroyed: boolean }
}
/** Lets time pass in steps of a millisecond, so that timers and turns come in their order. */
async function pass(ms: number): Promise<void> {
  for (let step = 0; step < ms; step++) {
    nowMs += 1
    await vi.advanceTimersByTimeAsync(1)
  }
}

test('the first handshake begins at once', () => {
  connect('a')
  expect(begun).toEqual(['a'])
})

test('while there are calls, handshakes of strangers take a small part of the time', async () => {
  for (let n = 0; n < 10; n++) connect('a')
  await pass(5)
  const before = begun.length
  await pass(100)
  // One per 8 times the cost.
  expect((begun.length - before) * 8 * COST_MS).toBeLessThanOrEqual(110)
  expect(begun.length).toBeGreaterThan(before)
})

test('peers that turn out to have an identity wait for less', async () => {
  const countIn = async (identifies: boolean): Promise<number> => {
    begun = []
    for (let ms = 0; ms < 200; ms++) {
      if (line.waiting < 5) connect('a')
      const before = begun.length
      await pass(1)
      if (identifies) for (let n = before; n < begun.length; n++) line.identified()
    }
    return begun.length
  }
  const strangers = await countIn(false)
  await countIn(true)
  expect(await countIn(true)).toBeGreaterThan(1.5 * strangers)
})

test('without calls one begins per turn of the loop', async () => {
  isBusy = false
  for (let n = 0; n < 8; n++) connect('a')
  expect(begun).toHaveLength(1)
  await pass(10)
  expect(begun).toHaveLength(8)
})

test('addresses take turns', async () => {
  for (const address of ['loud', 'loud', 'loud', 'loud', 'quiet']) connect(address)
  await pass(300)
  expect(begun).toEqual(['loud', 'loud', 'quiet', 'loud', 'loud'])
})

test('a full line drops the newest of the address with the most', () => {
  connect('a')
  const loud = Array.from({ length: 10 }, () => connect('loud'))
  connect('quiet')
  expect(loud.map(({ destroyed }) => destroyed)).toEqual([...Array.from({ length: 9 }, () => false), true])
  expect([dropped, line.waiting]).toEqual([1, 10])
})

test('who waits for longer than a handshake may take is dropped, and who has left is forgotten', async () => {
  server.removeAllListeners('connection')
  server.on('connection', () => undefined)
  line = paceHandshakes(server as unknown as Server, {
    monotonic: () => nowMs,
    // Every handshake is followed by a pause that never ends.
    isBusy: () => true,
    maxWaiting: 10,
    onDropped: () => (dropped += 1),
  })
  connect('a')
  const waiting = connect('b')
  const left = connect('b')
  left.destroy()
  nowMs += 6000
  await vi.advanceTimersByTimeAsync(100)
  expect([waiting.destroyed, line.waiting]).toEqual([true, 0])
})

test('a peer that says nothing is left to the limits of Node', async () => {
  connect('silent', false)
  expect(begun).toEqual([])
  await pass(400)
  expect(begun).toEqual([])
  await pass(200)
  expect(begun).toEqual(['silent'])
})
