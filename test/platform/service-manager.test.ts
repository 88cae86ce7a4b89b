// When the service manager is told what. What carries it there is tested in test/e2e/service-manager.test.ts.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { joinServiceManager } from '../../src/platform/service-manager.ts'

let sent: string[]
beforeEach(() => {
  vi.useFakeTimers()
  sent = []
})
afterEach(() => {
  vi.useRealTimers()
})

const join = (env: NodeJS.ProcessEnv, pids = [100, 99]): ReturnType<typeof joinServiceManager> =>
  joinServiceManager({
    env: { NOTIFY_SOCKET: '/run/systemd/notify', ...env },
    log: { warn: () => undefined },
    send: (note) => sent.push(note),
    pids,
  })
const pings = (): number => sent.filter((note) => note === 'WATCHDOG=1').length

test('without NOTIFY_SOCKET nothing is said', () => {
  const manager = join({ NOTIFY_SOCKET: '', WATCHDOG_USEC: '1000' })
  manager.ready('listens')
  vi.advanceTimersByTime(100)
  manager.stopping()
  expect(sent).toEqual([])
})

test('a process that is told to stop while it starts is never ready', () => {
  const manager = join({})
  manager.stopping()
  manager.stopping()
  manager.ready('listens')
  expect(sent).toEqual(['STATUS=draining: no new calls', 'STOPPING=1'])
})

describe('the watchdog', () => {
  test('is fed twice per its time', () => {
    join({ WATCHDOG_USEC: '30000000' }).ready('listens')
    vi.advanceTimersByTime(14_999)
    expect(sent).toEqual(['STATUS=listens', 'READY=1'])
    vi.advanceTimersByTime(1)
    expect(pings()).toBe(1)
    vi.advanceTimersByTime(30_000)
    expect(pings()).toBe(3)
  })

  test('is not fed while nothing serves, but during the drain', () => {
    const manager = join({ WATCHDOG_USEC: '2000000' })
    let serving = 0
    manager.ready('listens', () => serving > 0)
    vi.advanceTimersByTime(5000)
    expect(pings()).toBe(0)
    serving = 1
    vi.advanceTimersByTime(1000)
    expect(pings()).toBe(1)
    serving = 0
    manager.stopping()
    vi.advanceTimersByTime(1000)
    expect(pings()).toBe(2)
  })

  for (const [which, pid, expected] of [
    ['this process', '100', 1],
    ['the one that started it', '99', 1],
    ['another one', '7', 0],
  ] as const) {
    test(`of ${which} is ${expected === 1 ? '' : 'not '}fed`, () => {
      join({ WATCHDOG_USEC: '2000000', WATCHDOG_PID: pid }).ready('listens')
      vi.advanceTimersByTime(1000)
      expect(pings()).toBe(expected)
    })
  }

  for (const time of ['', '0', '-5', 'soon']) {
    test(`that is "${time}" is off`, () => {
      join({ WATCHDOG_USEC: time }).ready('listens')
      vi.advanceTimersByTime(100_000)
      expect(sent).toEqual(['STATUS=listens', 'READY=1'])
    })
  }
})
