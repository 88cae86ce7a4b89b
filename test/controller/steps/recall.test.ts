// Which remembered workers come back: the registry and the awaited ones are real, the check answers what the test says.
import { describe, expect, test } from 'vitest'
import { unshared } from '../../../src/controller/processes/siblings.ts'
import { createAwaited } from '../../../src/controller/routing/awaited.ts'
import type { RememberedWorker } from '../../../src/controller/routing/hint-format.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import { MAX_INSTANCES_PER_IDENTITY, Registry } from '../../../src/controller/routing/registry.ts'
import { createRoll } from '../../../src/controller/routing/roll.ts'
import type { WorkerCheck } from '../../../src/controller/steps/check-worker.ts'
import { createRecall } from '../../../src/controller/steps/recall.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import type { RegisterBody } from '../../../src/core/wire.ts'
import { createTracing } from '../../../src/platform/tracing/tracing.ts'
import { createLogger } from '../../../src/platform/logger.ts'

const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')
const verdict = { revision: 'r1' } as Awaited<ReturnType<WorkerCheck>>['verdict']
const log = createLogger({ level: 'silent', service: 'test' })
const { tracer } = await createTracing({ service: 'test', version: '1', env: {}, log })

function remembered(workerId: string): RememberedWorker {
  const body: RegisterBody = { worker_id: workerId, worker_url: 'https://127.0.0.1:1', capabilities: [] }
  return { spiffeId, leaseHash: hashOfLease(`of ${workerId}`), registeredAt: '2026-11-30T10:00:00.000Z', body }
}
const claimOf = (workerId: string) => ({ spiffeId, workerId, lease: `of ${workerId}` })

type Check = (workerId: string) => Promise<unknown>
/** `fault`: why a change cannot be shared; undefined: it can. */
type SetUp = {
  readonly readyAfter?: number
  readonly delayMs?: number
  readonly fault?: (id: string) => AppError | undefined
}

function setUp(ids: readonly string[], check: Check, { readyAfter = 0, delayMs = 0, fault }: SetUp = {}) {
  const awaited = createAwaited(ids.map(remembered))
  const options = { heartbeatIntervalMs: 50, monotonic: () => performance.now() }
  const registry = new Registry({ processId: '', ...options, onGone: () => undefined })
  const { share } = unshared(createRoll({ registry, awaited, hint: undefined }))
  const lines: object[] = []
  const forgotten: string[] = []
  const counts = { running: 0, most: 0, registered: 0, polls: 0, checked: [] as string[] }
  const stop = new AbortController()
  const recall = createRecall({
    ...options,
    delayMs,
    now: Date.now,
    awaited,
    remembered: awaited.list,
    registry,
    share(change) {
      const found = 'registration' in change ? fault?.(change.registration.workerId) : undefined
      if (found !== undefined) return Promise.reject(found)
      if (change.kind === 'unconfirmed' && awaited.has(change.holder)) forgotten.push(change.holder.workerId)
      return share(change)
    },
    async check(asker, body) {
      expect(asker).toMatchObject({ caller: spiffeId, decisionId: expect.stringMatching(/^[0-9a-f-]{36}$/) })
      counts.checked.push(body.worker_id)
      counts.most = Math.max(counts.most, ++counts.running)
      try {
        await check(body.worker_id)
      } finally {
        counts.running--
      }
      const registration = { spiffeId, workerId: body.worker_id, origin: body.worker_url, capabilities: new Map() }
      return { registration, verdict }
    },
    onRegistered() {
      counts.registered++
    },
    isReady: () => counts.polls++ >= readyAfter,
    tracer,
    log: { info: (line: object) => void lines.push(line), warn: (line: object) => void lines.push(line) },
    random: Math.random,
    signal: stop.signal,
  })
  const routable = (): string[] => registry.list().map(({ workerId }) => workerId)
  return { recall, awaited, registry, share, lines, forgotten, counts, stop, routable }
}

const passes: Check = () => Promise.resolve()
const failsWith =
  (...[code]: ConstructorParameters<typeof AppError>): Check =>
  () =>
    Promise.reject(new AppError(code))

describe('a remembered worker', () => {
  test('that passes the check is routable with the lease and the time of its registration', async () => {
    const { recall, registry, awaited, counts, lines } = setUp(['a'], passes)
    expect(awaited.owned(claimOf('a'))).toMatchObject({ workerId: 'a' })
    await recall()
    expect(registry.list()).toMatchObject([
      { workerId: 'a', registeredAt: '2026-11-30T10:00:00.000Z', staleMs: undefined },
    ])
    expect(() => registry.owned(claimOf('a'))).not.toThrow()
    expect(awaited.owned(claimOf('a'))).toBeUndefined()
    expect(counts.registered).toBe(1)
    expect(lines).toMatchObject([{ event: 'registry_recalled', remembered: 1, restored: 1, refused: 0, replaced: 0 }])
  })

  test('is checked by a process that steps in later only if it is still awaited then', async () => {
    const { recall, awaited, counts, routable } = setUp(['a', 'b'], passes, { delayMs: 50 })
    const recalled = recall()
    awaited.replaced({ spiffeId, workerId: 'a' })
    await recalled
    expect([counts.checked, routable()]).toEqual([['b'], ['b']])
  })

  test.each(['registration_denied', 'request_invalid', 'overloaded', 'internal_error'] as const)(
    'whose check fails with %s is forgotten at once',
    async (code) => {
      const { recall, routable, awaited, forgotten, counts } = setUp(['a'], failsWith(code))
      await recall()
      expect([routable(), forgotten, counts.checked, awaited.list()]).toEqual([[], ['a'], ['a'], []])
    },
  )

  test('whose probe failed is looked at once more, after the others, and then forgotten', async () => {
    const looks = new Map<string, number>()
    const check: Check = (id) => {
      const look = (looks.get(id) ?? 0) + 1
      looks.set(id, look)
      const isThere = id === 'good' || (id === 'slow' && look === 2)
      return isThere ? Promise.resolve() : Promise.reject(new AppError('worker_failed'))
    }
    const { recall, routable, forgotten, counts, lines } = setUp(['good', 'slow', 'dead'], check)
    await recall()
    expect(routable().toSorted()).toEqual(['good', 'slow'])
    expect(forgotten).toEqual(['dead'])
    expect(counts.checked.slice(3).toSorted()).toEqual(['dead', 'slow'])
    expect(lines).toMatchObject([{ event: 'registry_recalled', remembered: 3, restored: 2, refused: 1, replaced: 0 }])
  })

  test.each(['policy_engine_unavailable', 'policy_not_ready', 'audit_unavailable'] as const)(
    'is asked about again after %s, but not for longer than it would have stayed registered',
    async (code) => {
      let failures = 0
      const once: Check = () => (failures++ === 0 ? Promise.reject(new AppError(code)) : Promise.resolve())
      const first = setUp(['a'], once)
      const never = setUp(['b'], failsWith(code))
      await Promise.all([first.recall(), never.recall()])
      expect(first.routable()).toEqual(['a'])
      expect(never.forgotten).toEqual(['b'])
      expect(never.counts.checked.length).toBeGreaterThan(1)
    },
  )

  test('that registers again during its check keeps the new registration', async () => {
    const { recall, registry, share, forgotten, lines } = setUp(['a'], () => {
      const registration = { spiffeId, workerId: 'a', origin: 'https://127.0.0.1:2', capabilities: new Map() }
      const tenure = { leaseHash: hashOfLease('new'), registeredAt: '2026-11-30T11:00:00.000Z' }
      return share({ kind: 'registered', registration, tenure, body: remembered('a').body })
    })
    await recall()
    expect(registry.list()).toMatchObject([{ origin: 'https://127.0.0.1:2' }])
    expect(forgotten).toEqual([])
    expect(lines).toMatchObject([{ restored: 0, replaced: 1 }])
  })

  test('that deregisters before or during its check does not come back', async () => {
    const { recall, routable, awaited, share } = setUp(['a', 'b'], async () => {
      for (const id of ['a', 'b']) {
        const holder = awaited.owned(claimOf(id))
        if (holder !== undefined) await share({ kind: 'left', holder })
      }
    })
    expect(awaited.owned({ ...claimOf('a'), lease: 'another' })).toBeUndefined()
    await recall()
    expect(routable()).toEqual([])
  })

  test('for which the registry has no room is forgotten', async () => {
    const ids = Array.from({ length: MAX_INSTANCES_PER_IDENTITY + 1 }, (_, n) => `w${n}`)
    const { recall, routable, forgotten } = setUp(ids, passes)
    await recall()
    expect([routable().length, forgotten.length]).toEqual([MAX_INSTANCES_PER_IDENTITY, 1])
  })
})

test.each(['shutting_down', 'registry_unavailable'] as const)(
  'a worker that passes, but of whom nobody can be told (%s), is not dismissed, and the others come back',
  async (code) => {
    const fault = (id: string): AppError | undefined => (id === 'a' ? new AppError(code) : undefined)
    const { recall, forgotten, routable, lines, counts } = setUp(['a', 'b'], passes, { fault })
    await recall()
    expect([routable(), forgotten, counts.checked.toSorted()]).toEqual([['b'], [], ['a', 'b']])
    expect(lines).toMatchObject([
      { event: 'worker_not_recalled', worker_id: 'a', err: { code } },
      { event: 'registry_recalled', remembered: 2, restored: 1, refused: 0, replaced: 0 },
    ])
  },
)

test('a worker that another process has restored meanwhile stays', async () => {
  const { recall, share, routable } = setUp(['a'], async () => {
    const { leaseHash, registeredAt, body } = remembered('a')
    const registration = { spiffeId, workerId: 'a', origin: body.worker_url, capabilities: new Map() }
    await share({ kind: 'restored', registration, tenure: { leaseHash, registeredAt }, body })
    throw new AppError('policy_engine_unavailable')
  })
  await recall()
  expect(routable()).toEqual(['a'])
})

test('few are checked at a time, in random order, and only when the controller is ready', async () => {
  const ids = Array.from({ length: 60 }, (_, n) => `w${n}`)
  const { recall, counts, routable } = setUp(ids, () => new Promise(setImmediate), { readyAfter: 2 })
  await recall()
  expect(counts.polls).toBeGreaterThan(2)
  expect(counts.most).toBeLessThanOrEqual(16)
  expect(routable().sort()).toEqual(ids.toSorted())
  expect(counts.checked).not.toEqual(ids)
})

test('a controller that ends stops asking, and forgets nobody', async () => {
  const { recall, stop, forgotten, routable, lines } = setUp(['a'], () => {
    stop.abort()
    return Promise.reject(new AppError('policy_engine_unavailable'))
  })
  await recall()
  expect([forgotten, routable(), lines]).toEqual([[], [], []])
})

test('without a remembered worker nothing is said', async () => {
  const { recall, lines } = setUp([], passes)
  await recall()
  expect(lines).toEqual([])
})
