// The step of a call with a key, with a store and a worker whose answers the test gives.
import { describe, expect, test } from 'vitest'
import type { RouteCall, RouteOutcome } from '../../../src/controller/call.ts'
import type { Begun, Ending } from '../../../src/controller/idempotency/key-store.ts'
import { createHeldBytes } from '../../../src/controller/idempotency/held-bytes.ts'
import { createOnce } from '../../../src/controller/steps/once.ts'
import { AppError } from '../../../src/core/errors.ts'
import { allowedNow, createNotingSink, routeCall, type NotingSink } from '../../fixtures/route-call.ts'

const COMPLETED: RouteOutcome = {
  outcome: 'completed',
  status: 200,
  workerId: 'w',
  attempts: 1,
  durationMs: 1,
  error: undefined,
  effect: 'answered',
}
const HEAD = ['x-worker-id', 'w', 'content-type', 'text/plain', 'content-length', '2']

type Script = (call: RouteCall, sink: NotingSink) => RouteOutcome | Promise<RouteOutcome>

/** `perCaller`: bytes that calls may hold. */
type Setting = { readonly begun?: Begun | AppError; readonly stores?: boolean; readonly perCaller?: number }

function setUp(worker: Script, { begun = { state: 'begun' }, stores = true, perCaller = 1e9 }: Setting = {}) {
  const endings: Ending[] = []
  const sink = createNotingSink()
  const forwarded: RouteCall[] = []
  const once = createOnce({
    store: {
      begin: () => (begun instanceof AppError ? Promise.reject(begun) : Promise.resolve(begun)),
      end: (_claim, ending) => {
        endings.push(ending)
        return Promise.resolve(stores)
      },
    },
    hold: createHeldBytes({ perCaller, total: 1e9 }),
    forward: async (call) => {
      forwarded.push(call)
      return worker(call, sink)
    },
    monotonic: () => 0,
  })
  return {
    sink,
    endings,
    forwarded,
    run: (over: Partial<RouteCall> = {}) => once(routeCall({ idempotencyKey: 'k', sink, ...over }), allowedNow()),
  }
}

const answers: Script = ({ sink }) => {
  sink.start(200, [...HEAD])
  sink.write(Buffer.from('ok'))
  sink.end()
  return COMPLETED
}

describe('a call with a key', () => {
  test('is answered only after its answer is stored', async () => {
    let told: string[] = []
    const { sink, endings, run } = setUp((call) => {
      const outcome = answers(call, sink)
      told = [...sink.told]
      return outcome
    })
    expect(await run()).toMatchObject({ outcome: 'completed', idempotency: 'stored' })
    expect(told).toEqual([])
    expect(endings).toMatchObject([{ to: 'done', answer: { status: 200, body: Buffer.from('ok') } }])
    expect(sink.told).toEqual(['start 200', 'write ok', 'end'])
    expect(sink.headers()).toEqual(['x-worker-id', 'w', 'content-type', 'text/plain', 'content-length', '2'])
  })

  test('gets its answer also if that could not be stored, and the record says so', async () => {
    const { sink, run } = setUp(answers, { stores: false })
    expect(await run()).toMatchObject({ outcome: 'completed', idempotency: 'unstored' })
    expect(sink.told).toEqual(['start 200', 'write ok', 'end'])
  })

  test('does not reach a worker if the store refuses it', async () => {
    const error = new AppError('idempotency_unavailable')
    const { forwarded, run } = setUp(answers, { begun: error })
    expect(await run()).toMatchObject({
      outcome: 'refused',
      status: 503,
      idempotency: 'unavailable',
      error,
      attempts: 0,
    })
    expect(forwarded).toEqual([])
  })

  test('is refused before the store if calls hold too many bytes', async () => {
    const { forwarded, run } = setUp(answers, { perCaller: 15 })
    const outcome = await run()
    expect(outcome).toMatchObject({ outcome: 'refused', idempotency: 'unavailable', error: { code: 'overloaded' } })
    expect(forwarded).toEqual([])
  })

  test('whose answer finds no room in memory passes it on, unstored', async () => {
    const { sink, endings, run } = setUp(answers, { perCaller: 17 })
    expect(await run()).toMatchObject({ outcome: 'completed', idempotency: 'unstored' })
    expect(sink.told).toEqual(['start 200', 'write ok', 'end'])
    expect(endings).toEqual([{ to: 'unknown' }])
  })

  test('leaves no key held when forwarding fails in an unforeseen way', async () => {
    const { endings, run } = setUp(() => {
      throw new TypeError('a fault')
    })
    await expect(run()).rejects.toThrow('a fault')
    expect(endings).toEqual([{ to: 'unknown' }])
  })

  test('has a body that can be sent again, and no length of its own', async () => {
    const { forwarded, run } = setUp(answers)
    const parts = (async function* () {
      yield await Promise.resolve(Buffer.from('a'))
      yield Buffer.from('b')
    })()
    await run({
      form: 'raw',
      body: Object.assign(parts, { isAwaited: () => false, whole: () => undefined }),
      contentLength: 2,
    })
    expect(forwarded[0]).toMatchObject({ body: Buffer.from('ab'), contentLength: undefined })
  })

  test('whose body stops is not begun', async () => {
    const { forwarded, run } = setUp(answers)
    const stops = (async function* (): AsyncGenerator<Uint8Array> {
      throw await Promise.resolve(new AppError('request_timeout'))
    })()
    const outcome = await run({
      form: 'raw',
      body: Object.assign(stops, { isAwaited: () => false, whole: () => undefined }),
    })
    expect(outcome).toMatchObject({ outcome: 'caller_left', status: 408, error: { code: 'request_timeout' } })
    expect(forwarded).toEqual([])
  })
})

describe('a caller that leaves', () => {
  test('before its answer is complete ends nothing: the answer is stored', async () => {
    const { sink, endings, run } = setUp((call) => {
      let isTold = false
      call.sink.watch(() => undefined, () => (isTold = true)) // prettier-ignore
      sink.leave()
      expect([isTold, call.sink.hasLeft()]).toEqual([false, false])
      return answers(call, sink)
    })
    expect(await run()).toMatchObject({ outcome: 'caller_left', idempotency: 'stored' })
    expect(endings).toMatchObject([{ to: 'done' }])
    expect(sink.told).toEqual([])
  })

  test('because the controller shuts down ends the call, whose outcome is unknown', async () => {
    const { sink, endings, run } = setUp((call) => {
      let isTold = false
      call.sink.watch(() => undefined, () => (isTold = true)) // prettier-ignore
      sink.leave('shutdown')
      expect([isTold, call.sink.hasLeft()]).toEqual([true, true])
      return { ...COMPLETED, outcome: 'shutdown', effect: 'unclear', error: new AppError('shutting_down') }
    })
    expect(await run()).toMatchObject({ outcome: 'shutdown', idempotency: 'unstored' })
    expect(endings).toEqual([{ to: 'unknown' }])
  })

  test('ends a stream, which nobody would read: also one that begins only now', async () => {
    const { sink, endings, run } = setUp(async (call) => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      call.sink.watch(() => undefined, () => { resolve(undefined) }) // prettier-ignore
      sink.leave()
      call.sink.start(200, ['content-type', 'Text/Event-Stream; charset=utf-8'])
      expect(call.sink.write(Buffer.from('data: 1\n\n'))).toBe(true)
      call.sink.end()
      await promise
      expect(call.sink.hasLeft()).toBe(true)
      return { ...COMPLETED, outcome: 'caller_left', effect: 'unclear' }
    })
    expect(await run()).toMatchObject({ outcome: 'caller_left', idempotency: 'unstored' })
    expect(endings).toEqual([{ to: 'unknown' }])
    expect(sink.told).toEqual([])
  })
})

test('an answer that passes through keeps its order, and a slow caller slows the worker', async () => {
  const { sink, run } = setUp((call) => {
    sink.isSlow = true
    call.sink.start(200, ['content-type', 'application/octet-stream'])
    expect(call.sink.write(Buffer.alloc(600_000, 'a'))).toBe(true)
    expect(call.sink.write(Buffer.alloc(600_000, 'b'))).toBe(false)
    expect(call.sink.write(Buffer.from('c'))).toBe(false)
    call.sink.abort()
    return { ...COMPLETED, outcome: 'worker_failed', effect: 'unclear' }
  })
  expect(await run()).toMatchObject({ outcome: 'worker_failed', idempotency: 'unstored' })
  expect(sink.told.map((it) => it.slice(0, 9))).toEqual(['start 200', 'write aaa', 'write bbb', 'write c', 'abort'])
})
