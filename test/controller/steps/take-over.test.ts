// Which workers of other controllers are called from here: the registry and the awaited ones are real, the check answers what
// the test says.
import { expect, onTestFinished, test } from 'vitest'
import { unshared } from '../../../src/controller/processes/siblings.ts'
import { createAwaited } from '../../../src/controller/routing/awaited.ts'
import type { RememberedWorker } from '../../../src/controller/routing/hint-format.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import { Registry } from '../../../src/controller/routing/registry.ts'
import { createRoll } from '../../../src/controller/routing/roll.ts'
import type { WorkerCheck } from '../../../src/controller/steps/check-worker.ts'
import { createTakeOver } from '../../../src/controller/steps/take-over.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { createTracing } from '../../../src/platform/tracing/tracing.ts'
import { until } from '../../fixtures/until.ts'

const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')
const verdict = { revision: 'r1' } as Awaited<ReturnType<WorkerCheck>>['verdict']
const log = createLogger({ level: 'silent', service: 'test' })
const { tracer } = await createTracing({ service: 'test', version: '1', env: {}, log })

function learned(workerId: string): RememberedWorker {
  const body = { worker_id: workerId, worker_url: 'https://127.0.0.1:1', capabilities: [] }
  return { spiffeId, leaseHash: hashOfLease(workerId), registeredAt: '2026-11-30T10:00:00.000Z', body }
}

/** `check` throws what the check throws about a worker. */
function setUp(check: (workerId: string) => void) {
  const awaited = createAwaited([])
  const registry = new Registry({
    ...{ processId: '', heartbeatIntervalMs: 60_000, monotonic: () => performance.now() },
    onGone: () => undefined,
  })
  const roll = createRoll({ registry, awaited, hint: undefined, onLearned: (worker) => takeOver.take(worker) })
  const checked: string[] = []
  const warned: object[] = []
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const takeOver = createTakeOver({
    ...{
      awaited,
      registry,
      share: unshared(roll).share,
      tracer,
      now: Date.now,
      isReady: () => true,
      signal: stop.signal,
    },
    check(_asker, body) {
      checked.push(body.worker_id)
      check(body.worker_id)
      const registration = { spiffeId, workerId: body.worker_id, origin: body.worker_url, capabilities: new Map() }
      return Promise.resolve({ registration, verdict })
    },
    onRegistered: () => undefined,
    log: { warn: (line: object) => void warned.push(line) },
  })
  const routable = (): string[] => registry.list().map(({ workerId }) => workerId)
  const learn = (...ids: string[]) => ids.forEach((id) => roll.apply({ kind: 'learned', worker: learned(id) }))
  return { takeOver, learn, checked, warned, routable, awaited }
}

test('a worker that the policy allows is called from here', async () => {
  const { learn, routable, awaited } = setUp(() => undefined)
  learn('a', 'b')
  await until('both are routable', () => routable().length === 2)
  expect(awaited.list()).toEqual([])
})

test('one that cannot be checked now is checked again, and holds up no other one', async () => {
  let faults = 2
  const { learn, checked, routable, warned } = setUp((id) => {
    if (id === 'a' && faults-- > 0) throw new AppError('policy_engine_unavailable')
  })
  learn('a', 'b')
  await until('both are routable', () => routable().length === 2)
  expect(checked.filter((id) => id === 'a')).toHaveLength(3)
  expect(checked.filter((id) => id === 'b')).toHaveLength(1)
  expect(warned).toEqual([])
})

test('one that the policy denies stays awaited, and is asked about again when the policy has changed', async () => {
  let isAllowed = false
  const { takeOver, learn, checked, routable, warned, awaited } = setUp(() => {
    if (!isAllowed) throw new AppError('registration_denied')
  })
  learn('a')
  await until('it is denied', () => warned.length === 1)
  expect(warned).toMatchObject([{ event: 'worker_not_taken_over', worker_id: 'a', code: 'registration_denied' }])
  expect(awaited.list()).toHaveLength(1)
  isAllowed = true
  takeOver.again()
  await until('it is routable', () => routable().includes('a'))
  expect(checked).toEqual(['a', 'a'])
})
