// Which workers a call reaches: real sockets, so that what a worker "must not see" is what comes out of its socket.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { trace } from '@opentelemetry/api'
import { Pool, type Dispatcher } from 'undici'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import type { RouteCall } from '../../../src/controller/call.ts'
import { createChoose } from '../../../src/controller/routing/choose.ts'
import { MAX_IN_FLIGHT_PER_WORKER } from '../../../src/controller/routing/offer.ts'
import type { WorkerInstance } from '../../../src/controller/routing/registry.ts'
import { RetryBudget } from '../../../src/controller/routing/retry-budget.ts'
import { WaitingRoom } from '../../../src/controller/routing/waiting-room.ts'
import { createForward, type ForwardDeps } from '../../../src/controller/steps/forward.ts'
import { createSelectWorker } from '../../../src/controller/steps/select-worker.ts'
import { exactTimeout } from '../../../src/platform/timeouts.ts'
import { createLightTracer } from '../../../src/platform/tracing/light-tracer.ts'
import type { Verdict } from '../../../src/policy/verdict.ts'
import { groupOf as groupOfWorkers, offeredBy, offerOf } from '../../fixtures/offered.ts'
import { allowedNow, CAPABILITY, createNotingSink, routeCall } from '../../fixtures/route-call.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
type Worker = { readonly instance: WorkerInstance; readonly seen: string[] }

const greets: Answer = (_request, response) => response.end('"hi"')

const closing: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0)) await close()
})

function instanceAt(workerId: string, origin: string, limit?: number): WorkerInstance {
  return offeredBy(workerId, { origin, limit, declaredErrors: new Map([[CAPABILITY, new Set(['OUT_OF_PAPER'])]]) })
}

/** A worker on a free port that notes the body of every request that it sees. */
async function worker(workerId: string, answer: Answer): Promise<Worker> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    request.setEncoding('utf8')
    let body = ''
    request.on('data', (part: string) => (body += part))
    request.on('end', () => {
      seen.push(body)
      answer(request, response)
    })
    // A request counts when it arrives, also when its body never does.
    request.on('close', () => request.complete || seen.push('broken off'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => server.close().closeAllConnections())
  return { instance: instanceAt(workerId, originOf(server.address())), seen }
}

function originOf(address: ReturnType<Server['address']>): string {
  return `http://127.0.0.1:${(address as AddressInfo).port}`
}

/** A worker that has just gone: nobody listens there. */
async function goneWorker(workerId: string): Promise<Worker> {
  const server = createTcpServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const origin = originOf(server.address())
  await once(server.close(), 'close')
  return { instance: instanceAt(workerId, origin), seen: [] }
}

type Mocked = Partial<ForwardDeps> & { isKnown?: () => boolean; verdict?: Verdict }

/** Forwards among these workers; of several that are free the first one is picked. */
function forwardTo(workers: readonly Worker[], { isKnown = () => true, verdict = allowedNow(), ...over }: Mocked = {}) {
  const pools = new Map<WorkerInstance, Pool>()
  const clocks = {
    tracer: createLightTracer(),
    monotonic: () => performance.now(),
    startTimeout: exactTimeout,
    ...over,
  }
  const groupOf = () => groupOfWorkers(workers.map(({ instance }) => instance))
  const isOpen = () => true
  const limits = { perCapability: 10, inAll: 10, bytes: 1e6 }
  const room = new WaitingRoom({ groupOf, isOpen, limits, ...clocks })
  closing.push(() => room.close())
  const select = createSelectWorker({
    groupOf,
    isKnown,
    choose: createChoose({ random: () => 0, isOpen }),
    room,
    ...clocks,
    metrics: { waited: () => undefined, refused: () => undefined },
  })
  const forward = createForward({
    health: { ended: () => undefined },
    decideAgain: () => undefined,
    budget: new RetryBudget(),
    metrics: { repeated: () => undefined, overBudget: () => undefined },
    select,
    handOn: () => 'v1;token',
    poolOf(instance) {
      const pool = pools.get(instance) ?? new Pool(instance.origin)
      if (!pools.has(instance)) closing.push(() => pool.destroy())
      pools.set(instance, pool)
      return pool
    },
    ...clocks,
  })
  return (call: RouteCall) => forward(call, verdict)
}

describe('a call', () => {
  test('reaches one worker, with its body, and its answer reaches the caller', async () => {
    const [a, b] = [await worker('a', greets), await worker('b', greets)]
    const sink = createNotingSink()
    const outcome = await forwardTo([a, b])(routeCall({ sink }))
    expect(outcome).toMatchObject({ outcome: 'completed', status: 200, workerId: 'a', attempts: 1, error: undefined })
    expect(outcome.durationMs).toBeGreaterThan(0)
    expect([a.seen, b.seen]).toEqual([['{"message":"hi"}'], []])
    expect(sink.told).toEqual(['start 200', 'write "hi"', 'end'])
    expect(a.instance.inFlight).toBe(0)
  })

  test('sends the worker the caller, the capability, the ids and the time that is left', async () => {
    let headers: IncomingMessage['headers'] = {}
    const a = await worker('a', (request, response) => {
      headers = request.headers
      greets(request, response)
    })
    let now = 0
    const forward = forwardTo([a], { monotonic: () => (now += 100) })
    await forward(routeCall({ timeoutMs: 5000, idempotencyKey: 'once', contentLength: 16 }))
    expect(headers).toMatchObject({
      'x-crank-capability': CAPABILITY,
      'x-crank-caller': 'spiffe://crank.local/worker/streaming',
      'x-crank-deadline-ms': '4800',
      'idempotency-key': 'once',
      'content-length': '16',
    })
  })

  test('counts as in flight at its worker while it runs', async () => {
    const inFlight: number[] = []
    const a = await worker('a', (request, response) => {
      inFlight.push(a.instance.inFlight)
      greets(request, response)
    })
    await forwardTo([a])(routeCall())
    expect([...inFlight, a.instance.inFlight]).toEqual([1, 0])
  })
})

describe('another worker is tried', () => {
  test('when the first could not be reached', async () => {
    const [a, b] = [await goneWorker('a'), await worker('b', greets)]
    const outcome = await forwardTo([a, b])(routeCall())
    expect(outcome).toMatchObject({ outcome: 'completed', workerId: 'b', attempts: 2 })
    expect(b.seen).toEqual(['{"message":"hi"}'])
  })

  const isBusy: Answer = (_request, response) => response.writeHead(503, { 'retry-after': '7' }).end('{"error":"BUSY"}')

  test('when the first answers that it is busy: it did not take the call', async () => {
    const [a, b] = [await worker('a', isBusy), await worker('b', greets)]
    const forward = forwardTo([a, b])
    expect(await forward(routeCall())).toMatchObject({ outcome: 'completed', workerId: 'b', attempts: 2 })
    expect([a.seen, b.seen]).toEqual([['{"message":"hi"}'], ['{"message":"hi"}']])
    // It is closed for the time that it gave.
    expect(await forward(routeCall())).toMatchObject({ outcome: 'completed', workerId: 'b', attempts: 1 })
    expect(a.seen).toHaveLength(1)
  })

  test('until all are busy: then the caller gets the shortest time', async () => {
    const longer: Answer = (_request, response) =>
      response.writeHead(503, { 'retry-after': '20' }).end('{"error":"BUSY"}')
    const [a, b] = [await worker('a', longer), await worker('b', isBusy)]
    const outcome = await forwardTo([a, b])(routeCall())
    expect(outcome).toMatchObject({ outcome: 'worker_failed', status: 503, workerId: 'b', attempts: 2 })
    expect(outcome.error).toMatchObject({ code: 'worker_busy', retryAfterS: 7 })
  })

  test('never with a large body that is sent as it arrives: it cannot be sent again', async () => {
    const [a, b] = [await worker('a', isBusy), await worker('b', greets)]
    const upload = Object.assign(Readable.from([Buffer.from('part')]), {
      isAwaited: () => false,
      whole: () => undefined,
    })
    const outcome = await forwardTo([a, b])(routeCall({ body: upload }))
    expect(outcome).toMatchObject({ status: 503, attempts: 1, error: { code: 'worker_busy', retryAfterS: 7 } })
    expect(b.seen).toEqual([])
  })

  test('ten times at most while nobody could be reached', async () => {
    const gone = await Promise.all(Array.from({ length: 10 }, (_, at) => goneWorker(`gone-${at}`)))
    const last = await worker('last', greets)
    const outcome = await forwardTo([...gone, last])(routeCall())
    expect(outcome).toMatchObject({ outcome: 'worker_failed', status: 502, attempts: 10 })
    expect(last.seen).toEqual([])
    const next = await forwardTo([...gone.slice(1), last])(routeCall())
    expect(next).toMatchObject({ outcome: 'completed', workerId: 'last', attempts: 10 })
  })

  test('three times at most once they got the call, whoever could not be reached before', async () => {
    const refuses: Answer = (_request, response) => response.writeHead(503).end('{"error":"SHUTTING_DOWN"}')
    const gone = await Promise.all(['a', 'b', 'c'].map(goneWorker))
    const ending = await Promise.all(['d', 'e', 'f'].map((id) => worker(id, refuses)))
    const last = await worker('g', greets)
    const outcome = await forwardTo([...gone, ...ending, last])(routeCall())
    expect(outcome).toMatchObject({ outcome: 'worker_failed', attempts: 6 })
    expect(last.seen).toEqual([])
  })

  const sent: readonly [what: string, answer: Answer, outcome: object][] = [
    [
      'has answered in part and resets',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('only this', () => request.socket.resetAndDestroy())
      },
      { outcome: 'worker_failed', status: 200, error: undefined },
    ],
    [
      'resets before its answer',
      (request) => request.socket.resetAndDestroy(),
      { outcome: 'unknown', status: 502, error: { code: 'worker_failed' } },
    ],
    [
      'answers 500',
      (_request, response) => response.writeHead(500).end('{"error":"OUT_OF_PAPER"}'),
      { outcome: 'worker_failed', status: 502, error: { reasonCode: 'OUT_OF_PAPER' } },
    ],
    [
      'compresses its answer',
      (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      { outcome: 'worker_failed', status: 502, error: { code: 'worker_failed' } },
    ],
    [
      'answers in no HTTP',
      (request) => request.socket.end('220 mail.example ESMTP\r\n'),
      { outcome: 'worker_failed', status: 502, error: { code: 'worker_failed' } },
    ],
  ]
  for (const [what, answer, expected] of sent) {
    test(`never after one that got the request and ${what}: the work may be done`, async () => {
      const [a, b] = [await worker('a', answer), await worker('b', greets)]
      const outcome = await forwardTo([a, b])(routeCall())
      expect(outcome).toMatchObject({ ...expected, workerId: 'a', attempts: 1 })
      expect([a.seen, b.seen]).toEqual([['{"message":"hi"}'], []])
    })
  }

  test('never after one that is too slow', async () => {
    const [a, b] = [await worker('a', () => undefined), await worker('b', greets)]
    const outcome = await forwardTo([a, b])(routeCall({ timeoutMs: 100 }))
    expect(outcome).toMatchObject({ outcome: 'timeout', status: 504, attempts: 1 })
    expect([a.seen, b.seen]).toEqual([['{"message":"hi"}'], []])
  })
})

describe('a call with a key that its capability declares safe', () => {
  const keyed = () => routeCall({ idempotencyKey: 'k' })
  const dies: Answer = (request) => request.socket.resetAndDestroy()

  async function safeWorker(workerId: string, answer: Answer): Promise<Worker> {
    const made = await worker(workerId, answer)
    const { origin } = made.instance
    return { ...made, instance: offeredBy(workerId, { origin, retrySafe: true }) }
  }

  test('is sent again after a reset; the outcome names both attempts', async () => {
    const [a, b] = [await safeWorker('a', dies), await safeWorker('b', greets)]
    const outcome = await forwardTo([a, b])(keyed())
    expect(outcome).toMatchObject({ outcome: 'completed', workerId: 'b', attempts: 2, effect: 'answered' })
    expect(outcome.attemptsMade).toMatchObject([
      { worker_id: 'a', reason: null, outcome: 'unknown', error: 'worker_failed', sent: true },
      { worker_id: 'b', reason: 'retry_safe', outcome: 'completed', error: null, sent: true },
    ])
    expect([a.seen.length, b.seen.length]).toEqual([1, 1])
  })

  test('three times at most; that nobody knows what was done stays so', async () => {
    const all = await Promise.all(['a', 'b', 'c', 'd'].map((id) => safeWorker(id, dies)))
    const outcome = await forwardTo(all)(keyed())
    expect(outcome).toMatchObject({ outcome: 'unknown', status: 502, attempts: 3, effect: 'unclear' })
  })

  test('is unclear, and not free for a new try, when the last attempt reached nobody', async () => {
    const [a, b] = [await safeWorker('a', dies), await goneWorker('b')]
    const outcome = await forwardTo([a, b])(keyed())
    expect(outcome).toMatchObject({ outcome: 'unknown', attempts: 2, workerId: 'b', effect: 'unclear' })
  })

  test('is not sent again over the budget, and that is counted', async () => {
    const [a, b] = [await safeWorker('a', dies), await safeWorker('b', greets)]
    const told: string[] = []
    const budget = new RetryBudget()
    for (let i = 0; i < 10; i++) budget.take(performance.now())
    const metrics = { repeated: (reason: string) => told.push(reason), overBudget: () => told.push('over') }
    const forward = forwardTo([a, b], { budget, metrics })
    expect(await forward(keyed())).toMatchObject({ outcome: 'unknown', attempts: 1, attemptsMade: undefined })
    expect([told, b.seen]).toEqual([['over'], []])
    // What was not sent costs no budget.
    expect(await forwardTo([await goneWorker('c'), b], { budget, metrics })(keyed())).toMatchObject({ workerId: 'b' })
    expect(told).toEqual(['over', 'unreached'])
  })

  test('is not sent again when the policy has changed its mind: 403, and what was done is unclear', async () => {
    const [a, b] = [await safeWorker('a', dies), await safeWorker('b', greets)]
    const denied = new AppError('capability_access_denied', 'no more')
    const decideAgain = () => Promise.resolve(denied)
    const outcome = await forwardTo([a, b], { decideAgain })(keyed())
    expect(outcome).toMatchObject({ outcome: 'unknown', status: 403, error: denied, attempts: 1, effect: 'unclear' })
    const unsent = await forwardTo([await goneWorker('c'), b], { decideAgain })(keyed())
    expect(unsent).toMatchObject({ outcome: 'refused', status: 403, error: denied, attempts: 1, effect: 'none' })
    expect(b.seen).toEqual([])
  })

  test('has one deadline for all attempts', async () => {
    const slowly: Answer = (request) => void setTimeout(() => request.socket.resetAndDestroy(), 150)
    let deadline = 0
    const [a, b] = [
      await safeWorker('a', slowly),
      await safeWorker('b', (request, response) => {
        deadline = Number(request.headers['x-crank-deadline-ms'])
        greets(request, response)
      }),
    ]
    await forwardTo([a, b])(routeCall({ idempotencyKey: 'k', timeoutMs: 2000 }))
    expect(deadline).toBeGreaterThan(0)
    expect(deadline).toBeLessThanOrEqual(1860)
  })
})

describe('no worker is called', () => {
  const cases: readonly [what: string, deps: Mocked, code: string][] = [
    ['for a capability that no manifest names', { isKnown: () => false }, 'capability_unknown'],
    ['while none is live', {}, 'no_worker_available'],
  ]
  for (const [what, deps, code] of cases) {
    test(what, async () => {
      const outcome = await forwardTo([], deps)(routeCall())
      expect(outcome).toMatchObject({ outcome: 'worker_failed', workerId: null, attempts: 0, error: { code } })
    })
  }

  test.each(['caller_left', 'shutdown'] as const)('for a caller that is gone (%s)', async (by) => {
    const a = await worker('a', greets)
    const sink = createNotingSink()
    sink.leave(by)
    expect(await forwardTo([a])(routeCall({ sink }))).toMatchObject({ outcome: by, attempts: 0, workerId: null })
    expect(a.seen).toEqual([])
  })
})

describe('a call waits', () => {
  test('while the worker has as many calls in flight as it may have over all capabilities', async () => {
    const a = await worker('a', greets)
    const offer = offerOf(a.instance)
    a.instance.inFlight = MAX_IN_FLIGHT_PER_WORKER
    const forward = forwardTo([a])
    expect(await forward(routeCall({ timeoutMs: 50 }))).toMatchObject({ outcome: 'timeout', status: 504, attempts: 0 })
    expect(a.seen).toEqual([])
    a.instance.inFlight = MAX_IN_FLIGHT_PER_WORKER - 1
    expect(await forward(routeCall())).toMatchObject({ outcome: 'completed' })
    expect(offer.inFlight).toBe(0)
  })

  test('for its turn at a worker that takes one call at a time', async () => {
    const running: ServerResponse[] = []
    const a = await worker('a', (_request, response) => running.push(response))
    const limited = { ...a, instance: instanceAt('a', a.instance.origin, 1) }
    const forward = forwardTo([limited])
    const calls = [forward(routeCall()), forward(routeCall()), forward(routeCall())]
    for (let i = 0; i < calls.length; i++) {
      await vi.waitUntil(() => running.length === i + 1, { timeout: 5000 })
      expect(limited.instance.inFlight).toBe(1)
      running[i]!.end('"hi"')
    }
    for (const call of calls) expect(await call).toMatchObject({ outcome: 'completed', attempts: 1 })
  })
})

describe('an answer that stops', () => {
  /** A pool that hands out the handler of the call: undici's part is played by the test. */
  function drivenCall(call: RouteCall) {
    const handlers: Dispatcher.DispatchHandler[] = []
    const pool = { dispatch: (_options: unknown, handler: Dispatcher.DispatchHandler) => handlers.push(handler) }
    const instance = instanceAt('a', 'http://127.0.0.1:1')
    const forward = forwardTo([{ instance, seen: [] }], { poolOf: () => pool as unknown as Pool })
    const outcome = forward(call)
    return { outcome, handler: handlers[0]! }
  }

  test('is broken off after 60 s without a byte, not before', async () => {
    vi.useFakeTimers()
    const sink = createNotingSink()
    const { outcome, handler } = drivenCall(routeCall({ sink, timeoutMs: 1000 }))
    const controller = { abort: () => undefined } as unknown as Dispatcher.DispatchController
    handler.onRequestStart!(controller, {})
    handler.onResponseStart!(controller, 200, { 'transfer-encoding': 'chunked' }, 'OK')
    vi.advanceTimersByTime(59_999)
    expect(sink.told).toEqual(['start 200'])
    vi.advanceTimersByTime(1)
    expect(sink.told).toEqual(['start 200', 'abort'])
    expect(await outcome).toMatchObject({ outcome: 'timeout', status: 200, error: undefined })
  })
})

test('the spans of a call name the worker', async () => {
  const spans: Record<string, unknown>[] = []
  const inner = trace.getTracer('test')
  const startSpan: ForwardDeps['tracer']['startSpan'] = (name) => {
    const noted: Record<string, unknown> = { name }
    spans.push(noted)
    const setAttribute = (key: string, value: unknown): unknown => (noted[key] = value)
    const setAttributes = (attributes: object): unknown => Object.assign(noted, attributes)
    return Object.assign(Object.create(inner.startSpan(name)) as ReturnType<typeof startSpan>, {
      setAttribute,
      setAttributes,
    })
  }
  const a = await worker('a', greets)
  await forwardTo([a], { tracer: { startSpan, startActiveSpan: inner.startActiveSpan.bind(inner) } })(routeCall())
  expect(spans).toMatchObject([
    { name: 'worker.select', 'crank.candidates': 1, 'crank.worker_id': 'a' },
    { name: 'POST /execute', 'http.response.status_code': 200, 'crank.worker_id': 'a' },
  ])
})
