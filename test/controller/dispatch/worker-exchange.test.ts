// One attempt at one worker, driven by hand: what undici would report goes in, what the caller and the pipeline get comes out.
import { Readable } from 'node:stream'
import { errors, type Dispatcher } from 'undici'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  WorkerExchange,
  type ExchangeLimits,
  type ExchangeResult,
  type Upload,
} from '../../../src/controller/dispatch/worker-exchange.ts'
import { exactTimeout } from '../../../src/platform/timeouts.ts'
import { AppError } from '../../../src/core/errors.ts'
import { createNotingSink } from '../../fixtures/route-call.ts'

type Headers = Record<string, string | string[] | undefined>

const LIMITS = { firstByteMs: 1000, idleMs: 60_000, startTimeout: exactTimeout }
const TYPED = { 'content-type': 'application/json', 'content-length': '2' }
/** What Node says when a peer resets. */
const RESET = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function setUp({ declared = [], ...limits }: Partial<ExchangeLimits> & { declared?: string[] } = {}) {
  const sink = createNotingSink()
  const results: ExchangeResult[] = []
  const connection: string[] = []
  const controller = {
    abort: (reason: Error) => void connection.push(`abort: ${reason.message}`),
    pause: () => void connection.push('pause'),
    resume: () => void connection.push('resume'),
  } as unknown as Dispatcher.DispatchController
  const exchange = new WorkerExchange(sink, 'worker-a', { ...LIMITS, ...limits }, new Set(declared), (result) => {
    results.push(result)
  })
  return {
    sink,
    results,
    connection,
    exchange,
    send: () => exchange.onRequestStart(controller),
    head: (status: number, headers: Headers = TYPED) => exchange.onResponseStart(controller, status, headers),
    data: (text: string) => exchange.onResponseData(controller, Buffer.from(text)),
    end: () => exchange.onResponseEnd(),
    fail: (cause: Error) => exchange.onResponseError(controller, cause),
  }
}

describe('an answer', () => {
  test('goes to the caller as it comes, with the id of its worker, and completes the call', () => {
    const { sink, results, send, head, data, end } = setUp()
    send()
    head(200)
    data('a')
    data('b')
    end()
    expect(sink.told).toEqual(['start 200', 'write a', 'write b', 'end'])
    expect(sink.headers()).toEqual([
      'x-worker-id',
      'worker-a',
      'content-type',
      'application/json',
      'content-length',
      '2',
    ])
    expect(results).toEqual([{ outcome: 'completed', status: 200, sent: true, effect: 'answered', error: undefined }])
  })

  test('to an upload is timed from its last part; a body that was there from the start has no such time', () => {
    const upload = { isAwaited: () => false } as unknown as Upload
    const { exchange, send, head } = setUp({ upload })
    const startMs = performance.now()
    send()
    for (const ms of [100, 400]) {
      vi.advanceTimersByTime(ms)
      exchange.onBodySent()
    }
    vi.advanceTimersByTime(20)
    head(200)
    expect([exchange.uploadedMs! - startMs, exchange.answeredMs! - startMs]).toEqual([500, 520])
    const buffered = setUp()
    buffered.send()
    buffered.exchange.onBodySent()
    expect(buffered.exchange.uploadedMs).toBeUndefined()
  })

  test('of 4xx is the answer, whatever it says', () => {
    const { sink, results, send, head, data, end } = setUp()
    send()
    head(422)
    data('{}')
    end()
    expect(sink.told).toEqual(['start 422', 'write {}', 'end'])
    expect(results).toMatchObject([{ outcome: 'completed', status: 422 }])
  })

  test('begins with its own head, not with an interim one', () => {
    const { sink, send, head } = setUp()
    send()
    head(103, { link: '</a>' })
    expect(sink.told).toEqual([])
    head(200)
    expect(sink.told).toEqual(['start 200'])
  })

  test('waits while the caller is slow, and goes on when the caller has read', () => {
    const { sink, connection, send, head, data } = setUp()
    send()
    head(200)
    sink.isSlow = true
    data('a')
    expect(connection).toEqual(['pause'])
    sink.drain()
    expect(connection).toEqual(['pause', 'resume'])
  })

  test('is settled once: what comes later changes nothing', () => {
    const { sink, results, send, head, data, end, fail } = setUp()
    send()
    head(200)
    end()
    data('late')
    fail(RESET)
    sink.leave()
    vi.advanceTimersByTime(120_000)
    expect(sink.told).toEqual(['start 200', 'end'])
    expect(results).toHaveLength(1)
  })

  const refused: readonly [what: string, headers: Headers, reason: string][] = [
    ['compressed', { ...TYPED, 'content-encoding': 'gzip' }, 'the worker sent a compressed answer'],
    ['without a length', { 'content-type': 'text/plain' }, 'the worker sent an answer without a length'],
    [
      'in another transfer coding',
      { 'transfer-encoding': 'gzip, chunked' },
      'the worker sent an answer in a transfer coding that is not "chunked"',
    ],
  ]
  for (const [what, headers, message] of refused) {
    test(`${what} is refused before the caller sees any of it`, () => {
      const { sink, results, connection, send, head } = setUp()
      send()
      head(200, headers)
      expect(sink.told).toEqual([])
      expect(results).toMatchObject([{ outcome: 'worker_failed', status: 502, sent: true, error: { message } }])
      expect(connection).toEqual([`abort: ${message}`])
    })
  }
})

describe('a fault of the worker', () => {
  function faultOf(status: number, body: string, headers: Headers = {}, declared: string[] = []) {
    const { sink, results, send, head, data, end } = setUp({ declared })
    send()
    head(status, { ...TYPED, ...headers })
    data(body)
    end()
    expect(sink.told).toEqual([])
    expect(results).toHaveLength(1)
    return results[0]!
  }

  test('keeps its code from the caller unless the worker declared it', () => {
    const body = '{"error":"OUT_OF_PAPER"}'
    expect(faultOf(500, body)).toMatchObject({
      outcome: 'worker_failed',
      sent: true,
      error: { code: 'worker_failed', message: 'the worker answered 500', reasonCode: undefined },
    })
    expect(faultOf(500, body, {}, ['OUT_OF_PAPER']).error).toMatchObject({ reasonCode: 'OUT_OF_PAPER' })
  })

  test.each(['not JSON', '[]', 'null', '{"error":5}'])('with the body %s has no code', (body) => {
    expect(faultOf(500, body, {}, ['5']).error).toMatchObject({ code: 'worker_failed', reasonCode: undefined })
  })

  test('BUSY is worker_busy with 503 only', () => {
    expect(faultOf(503, '{"error":"BUSY"}')).toMatchObject({ status: 503, error: { code: 'worker_busy' } })
    expect(faultOf(500, '{"error":"BUSY"}')).toMatchObject({ status: 502, error: { code: 'worker_failed' } })
  })

  const times: readonly [sent: string, seconds: number | undefined][] = [
    ['7', 7],
    ['0', 1],
    ['9999', 300],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
  ]
  for (const [sent, seconds] of times) {
    test(`with retry-after ${sent} is passed on as ${seconds ?? 'none'}`, () => {
      expect(faultOf(503, '{}', { 'retry-after': sent }).error!.retryAfterS).toBe(seconds)
    })
  }

  test('with a redirection is not followed', () => {
    expect(faultOf(307, '')).toMatchObject({ outcome: 'worker_failed', error: { message: 'the worker answered 307' } })
  })

  test('with a body of more than 16 KiB is not read to its end', () => {
    const { results, connection, send, head, data } = setUp({ declared: ['X'] })
    send()
    head(500)
    data(`{"error":"X"}${' '.repeat(16 * 1024)}`)
    expect(results).toMatchObject([{ outcome: 'worker_failed', error: { reasonCode: undefined } }])
    expect(connection).toHaveLength(1)
  })
})

describe('a connection that fails', () => {
  test('before the request left means that nothing was sent: another worker may be tried', () => {
    const { results, fail } = setUp()
    fail(RESET)
    expect(results).toMatchObject([
      {
        outcome: 'worker_failed',
        sent: false,
        error: { code: 'worker_failed', message: 'the worker worker-a could not be reached', retryAfterS: 5 },
      },
    ])
  })

  test('between request and answer leaves unknown whether the work was done', () => {
    const { results, send, fail } = setUp()
    send()
    fail(RESET)
    expect(results).toMatchObject([
      { outcome: 'unknown', sent: true, error: { message: 'the connection to the worker worker-a broke' } },
    ])
  })

  test('in the middle of an answer breaks the answer: it never looks whole', () => {
    const { sink, results, send, head, data, fail } = setUp()
    send()
    head(200)
    data('half')
    fail(RESET)
    expect(sink.told).toEqual(['start 200', 'write half', 'abort'])
    expect(results).toEqual([
      { outcome: 'worker_failed', status: 200, sent: true, effect: 'unclear', error: undefined, fault: 'reset' },
    ])
  })

  test('because the bytes are no HTTP answer is a failure of the worker, not unknown', () => {
    const { results, send, fail } = setUp()
    send()
    fail(new errors.HTTPParserError('Invalid constant'))
    expect(results).toMatchObject([{ outcome: 'worker_failed', error: { code: 'worker_failed' } }])
  })

  test("because of the caller's own body is the caller's doing, and the caller is told so", () => {
    const { results, send, fail } = setUp()
    const cause = new AppError('request_timeout')
    send()
    fail(cause)
    expect(results).toEqual([{ outcome: 'caller_left', status: 408, sent: true, effect: 'unclear', error: cause }])
  })
})

describe('time', () => {
  test('until the first byte is limited, and the limit is a timeout', () => {
    const { results, connection, send } = setUp()
    send()
    vi.advanceTimersByTime(999)
    expect(results).toEqual([])
    vi.advanceTimersByTime(1)
    expect(results).toMatchObject([{ outcome: 'timeout', status: 504, error: { code: 'worker_timeout' } }])
    expect(connection).toEqual(['abort: the worker did not answer in time'])
  })

  test('counts from the last part of the body that the worker took', () => {
    const { exchange, results, send } = setUp()
    send()
    vi.advanceTimersByTime(900)
    exchange.onBodySent()
    vi.advanceTimersByTime(900)
    expect(results).toEqual([])
    vi.advanceTimersByTime(100)
    expect(results).toHaveLength(1)
  })

  test("does not run while the caller's next part is awaited: the body has a limit of its own", () => {
    let isAwaited = true
    const upload = Object.assign(Readable.from([]), { isAwaited: () => isAwaited, whole: () => undefined })
    const { results, send } = setUp({ upload })
    send()
    vi.advanceTimersByTime(10_000)
    expect(results).toEqual([])
    isAwaited = false
    vi.advanceTimersByTime(1000)
    expect(results).toMatchObject([{ outcome: 'timeout' }])
  })

  test('between two parts of an answer is limited, and each part begins it again', () => {
    const { sink, results, send, head, data } = setUp()
    send()
    head(200)
    vi.advanceTimersByTime(59_999)
    data('a')
    vi.advanceTimersByTime(59_999)
    expect(results).toEqual([])
    vi.advanceTimersByTime(1)
    expect(results).toEqual([
      { outcome: 'timeout', status: 200, sent: true, effect: 'unclear', error: undefined, fault: 'timeout' },
    ])
    expect(sink.told).toEqual(['start 200', 'write a', 'abort'])
  })

  test('that passes while the caller does not read is the doing of the caller', () => {
    const { sink, results, send, head, data } = setUp()
    send()
    head(200)
    sink.isSlow = true
    data('a')
    vi.advanceTimersByTime(60_000)
    expect(results).toMatchObject([{ outcome: 'caller_left', status: 200 }])
  })

  test("holds until a fault's body has ended: its head is no byte for the caller", () => {
    const { results, send, head } = setUp()
    send()
    head(500)
    vi.advanceTimersByTime(1000)
    expect(results).toMatchObject([{ outcome: 'timeout', error: { code: 'worker_timeout' } }])
  })
})

describe('a caller that leaves', () => {
  test('ends the call at the worker', () => {
    const { sink, results, connection, send } = setUp()
    send()
    sink.leave()
    expect(results).toMatchObject([{ outcome: 'caller_left', sent: true }])
    expect(connection).toEqual(['abort: the caller left'])
  })

  test('because of the shutdown is distinguished', () => {
    const { sink, results, send } = setUp()
    send()
    sink.leave('shutdown')
    expect(results).toMatchObject([{ outcome: 'shutdown', error: { code: 'shutting_down' } }])
  })

  test('while the connection is made gets nothing sent in its name any more', () => {
    const { sink, results, connection, send } = setUp()
    sink.leave()
    send()
    expect(results).toMatchObject([{ outcome: 'caller_left', sent: false }])
    expect(connection).toEqual(['abort: the call is over'])
  })
})
