import { once } from 'node:events'
import type { Readable } from 'node:stream'
import Type from 'typebox'
import { expect, test } from 'vitest'
import { capabilityError } from '../../src/worker/call-error.ts'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import type { HandlerContext } from '../../src/worker/handler.ts'
import type { StreamEvent } from '../../src/worker/stream-event.ts'
import { call, createTestWorker, start } from '../../scripts/lab/worker-calls.ts'

type Handle = (context: HandlerContext<unknown>) => AsyncIterable<StreamEvent<number>>

function countingWorker(handler: Handle, options: { heartbeatMs?: number; firstEventMs?: number } = {}) {
  const numbers = defineCapability({
    verb: 'stream',
    name: 'numbers',
    version: '1.0.0',
    input: Type.Null(),
    output: Type.Number(),
    errors: { TIRED: { description: 'Tired.', retryable: true } },
    streaming: true,
    handler,
  })
  return createTestWorker(defineWorker({ id: 'worker-numbers', capabilities: [numbers] }), options)
}

/** Waits forever, but for the signal. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}

async function readNext(iterator: AsyncIterator<string>): Promise<string> {
  const { value } = (await iterator.next()) as { value: string }
  return value
}

// eslint-disable-next-line @typescript-eslint/require-await -- a source that has everything at hand
async function* two(): AsyncGenerator<StreamEvent<number>> {
  yield { id: '1', data: 1 }
  yield { id: '2', event: 'last', data: 2 }
}

test('events are answered as an event stream', async () => {
  const worker = await countingWorker(two)
  const answer = await call(worker, 'stream:numbers', null)
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/event-stream' } })
  expect(answer.text).toBe('id: 1\ndata: 1\n\nevent: last\nid: 2\ndata: 2\n\n')
  await worker.slots.idle()
})

test('a handler that fails before its first event answers with a status', async () => {
  // eslint-disable-next-line @typescript-eslint/require-await -- it fails at once
  const worker = await countingWorker(async function* (): AsyncGenerator<StreamEvent<number>> {
    throw capabilityError('TIRED', 'not today')
  })
  const answer = await call(worker, 'stream:numbers', null)
  expect(answer.status).toBe(503)
  expect(answer.json()).toMatchObject({ error: 'TIRED', message: 'not today' })
  expect(worker.slots.inFlight()).toBe(0)
})

test('a handler that fails later ends the stream with an error event', async () => {
  const worker = await countingWorker(async function* () {
    yield* two()
    throw new Error('secret detail')
  })
  const answer = await call(worker, 'stream:numbers', null)
  expect(answer.text).toMatch(
    /data: 2\n\nevent: error\ndata: \{"error":"INTERNAL","message":"the worker failed","retryable":false\}\n\n$/,
  )
})

test('an event that does not fit the schema ends the stream', async () => {
  const worker = await countingWorker(async function* () {
    yield* two()
    yield { data: 'three' } as unknown as StreamEvent<number>
  })
  expect((await call(worker, 'stream:numbers', null)).text).toContain('event: error\ndata: {"error":"OUTPUT_INVALID"')
})

test('silence is broken by comments', async () => {
  const handler: Handle = async function* ({ signal }) {
    yield { data: 1 }
    await forever(signal)
  }
  const worker = await countingWorker(handler, { heartbeatMs: 5 })
  const body = (await start(worker, 'stream:numbers', null)).body as Readable
  const iterator = body.iterator({ destroyOnReturn: true }) as AsyncIterator<string>
  expect(await readNext(iterator)).toBe('data: 1\n\n')
  expect(await readNext(iterator)).toBe(': heartbeat\n\n')
  expect(await readNext(iterator)).toBe(': heartbeat\n\n')
  worker.stop()
  body.destroy()
  await worker.slots.idle()
})

test('a slow first event does not hold the answer back', async () => {
  const handler: Handle = async function* ({ signal }) {
    await forever(signal)
    yield { data: 1 }
  }
  const worker = await countingWorker(handler, { firstEventMs: 5 })
  const { status, body } = await start(worker, 'stream:numbers', null)
  expect(status).toBe(200)
  const text = (await (body as Readable).toArray({ signal: stopSoon(worker.stop) })).join('')
  expect(text).toContain('event: error\ndata: {"error":"SHUTTING_DOWN"')
})

function stopSoon(stop: () => void): AbortSignal {
  setImmediate(stop)
  return new AbortController().signal
}

test('the deadline is for the first byte, not for the stream', async () => {
  const gate = Promise.withResolvers<undefined>()
  let ended: AbortSignal | undefined
  const handler: Handle = async function* ({ signal }) {
    ended = signal
    yield { data: 1 }
    await gate.promise
    yield { data: 2 }
  }
  const worker = await countingWorker(handler, { heartbeatMs: 20 })
  const answer = await start(worker, 'stream:numbers', null, { headers: { 'x-crank-deadline-ms': '10' } })
  const iterator = (answer.body as Readable).iterator() as AsyncIterator<string>
  // The first comment comes when the deadline is long over.
  while ((await readNext(iterator)) !== ': heartbeat\n\n');
  expect(ended?.aborted).toBe(false)
  gate.resolve(undefined)
  expect(await readNext(iterator)).toBe('data: 2\n\n')
  await iterator.next()
})

test('a caller that leaves ends a handler that is waiting', async () => {
  const left = new AbortController()
  const done = Promise.withResolvers<string>()
  const handler: Handle = async function* ({ signal }) {
    yield { data: 1 }
    await forever(signal).catch((error: unknown) => done.resolve((error as Error).message))
  }
  const worker = await countingWorker(handler)
  const body = (await start(worker, 'stream:numbers', null, { callerLeft: left.signal })).body as Readable
  const rest = body.toArray()
  setImmediate(() => left.abort())
  expect(await done.promise).toBe('the caller left')
  await rest
  await worker.slots.idle()
})

test('a reader that goes away ends a handler that has just given an event', async () => {
  const done = Promise.withResolvers<string>()
  const handler: Handle = async function* () {
    try {
      yield* two()
    } finally {
      done.resolve('cleaned up')
    }
  }
  const worker = await countingWorker(handler)
  const body = (await start(worker, 'stream:numbers', null)).body as Readable
  await once(body, 'readable')
  body.destroy()
  expect(await done.promise).toBe('cleaned up')
  await worker.slots.idle()
})

test('a slow reader holds the handler back', async () => {
  let made = 0
  // eslint-disable-next-line @typescript-eslint/require-await -- as fast as it is asked
  const worker = await countingWorker(async function* () {
    for (made = 0; made < 1_000; made += 1) yield { data: made }
  })
  const body = (await start(worker, 'stream:numbers', null)).body as Readable
  await once(body, 'readable')
  await new Promise((resolve) => setImmediate(resolve))
  expect(made).toBeLessThan(10)
  expect(await body.toArray()).not.toHaveLength(0)
})
