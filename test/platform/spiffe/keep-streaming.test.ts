// The pace of dials, by a clock that the test turns.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { keepStreaming, type StreamDown } from '../../../src/platform/spiffe/keep-streaming.ts'
import type { OpenStream } from '../../../src/platform/spiffe/x509-stream.ts'

const GOOD = Buffer.from('good')
const BAD = Buffer.from('bad')

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** Every stream gets `messages` and ends with `code`, both at once. */
function start(code: string, messages: readonly Buffer[] = [], random = () => 0) {
  const dialsMs: number[] = []
  const downs: StreamDown[] = []
  const beganMs = performance.now()
  const open: OpenStream = ({ onMessage, onEnd }) => {
    dialsMs.push(Math.round(performance.now() - beganMs))
    queueMicrotask(() => {
      messages.forEach(onMessage)
      onEnd({ code, details: '' })
    })
    return () => undefined
  }
  const stop = keepStreaming({ open, onMessage: (bytes) => bytes === GOOD, onDown: (down) => downs.push(down), random })
  return { dialsMs, downs, stop }
}

describe('dials', () => {
  test('after failures come after 1, 2, 4, 8, 16 s, and then every 25 s', async () => {
    const { dialsMs, stop } = start('UNAVAILABLE')
    await vi.advanceTimersByTimeAsync(85_000)
    expect(dialsMs).toEqual([0, 1000, 3000, 7000, 15_000, 31_000, 56_000, 81_000])
    stop()
  })

  test('are spread by a fifth, and come at least every 30 s', async () => {
    const { dialsMs, stop } = start('UNAVAILABLE', [], () => 0.5)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(dialsMs).toEqual([0, 1100, 3300, 7700, 16_500, 34_100, 61_600, 89_100])
    stop()
  })

  test('after a good message come at once, but at most once a second', async () => {
    const { dialsMs, stop } = start('OK', [GOOD])
    await vi.advanceTimersByTimeAsync(3500)
    expect(dialsMs).toEqual([0, 1000, 2000, 3000])
    stop()
  })

  test('after bad messages come as after failures', async () => {
    const { dialsMs, stop } = start('OK', [BAD, BAD])
    await vi.advanceTimersByTimeAsync(3500)
    expect(dialsMs).toEqual([0, 1000, 3000])
    stop()
  })

  test('after PermissionDenied come as after failures, a good message before or not', async () => {
    const { dialsMs, downs, stop } = start('PERMISSION_DENIED', [GOOD])
    await vi.advanceTimersByTimeAsync(2500)
    expect(dialsMs).toEqual([0, 1000, 2000])
    expect(downs[0]).toMatchObject({ wasGood: true, retryMs: 1000 })
    stop()
  })

  test.each(['INVALID_ARGUMENT', 'UNIMPLEMENTED'])('after %s there are none', async (code) => {
    const { dialsMs, downs } = start(code, [GOOD])
    await vi.advanceTimersByTimeAsync(120_000)
    expect([dialsMs, downs]).toEqual([[0], [{ end: { code, details: '' }, retryMs: undefined, wasGood: true }]])
  })

  test('end with the stream', async () => {
    const { dialsMs, stop } = start('UNAVAILABLE')
    await vi.advanceTimersByTimeAsync(500)
    stop()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(dialsMs).toEqual([0])
  })
})
