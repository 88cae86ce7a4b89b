// What a process does while the parent, which orders the changes of the registry, hangs or is gone.
import { expect, test } from 'vitest'
import { createLinkedRoll } from '../../../src/controller/processes/linked-roll.ts'
import { hashOfLease } from '../../../src/controller/routing/lease.ts'
import type { RollChange } from '../../../src/controller/routing/roll.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { LinkClosedError } from '../../../src/platform/process-link.ts'
import { until } from '../../fixtures/until.ts'

const spiffeId = parseSpiffeId('spiffe://crank.local/worker/hello-world')
const holder = { spiffeId, workerId: 'a', leaseHash: hashOfLease('of a') }
const registered: RollChange = {
  kind: 'registered',
  registration: { spiffeId, workerId: 'a', origin: 'https://127.0.0.1:1', capabilities: new Map() },
  tenure: { leaseHash: holder.leaseHash, registeredAt: '2026-11-30T10:00:00.000Z' },
  body: { worker_id: 'a', worker_url: 'https://127.0.0.1:1', capabilities: [] },
}

function setUp(answer: (change: RollChange) => Promise<boolean>) {
  const asked: RollChange[] = []
  const applied: RollChange[] = []
  const ask = (_name: string, change: RollChange): Promise<boolean> => {
    asked.push(change)
    return answer(change)
  }
  const link = { ask, tell: () => undefined } as never
  const roll = { apply: (change: RollChange) => applied.push(change) > 0 }
  return { asked, applied, share: createLinkedRoll(link, roll, { answerMs: 20 }).share }
}

const hangs = (): Promise<boolean> => new Promise(() => undefined)
const isGone = (): Promise<boolean> => Promise.reject(new LinkClosedError('the other process is gone'))

test('the answer of the parent is the answer, and nothing is applied here before it says so', async () => {
  for (const isChanged of [true, false]) {
    const { share, applied } = setUp(() => Promise.resolve(isChanged))
    expect(await share(registered)).toBe(isChanged)
    expect(applied).toEqual([])
  }
})

test.each([
  ['hangs', hangs, 'registry_unavailable'],
  ['is gone', isGone, 'shutting_down'],
] as const)('when the parent %s, a change is refused after a limit', async (_how, answer, code) => {
  const { share, applied } = setUp(answer)
  for (const change of [registered, { kind: 'left', holder }, { kind: 'drained', id: 'a' }] as const) {
    await expect(share(change)).rejects.toMatchObject({ code })
  }
  expect(applied).toEqual([])
})

test.each([
  ['hangs', hangs],
  ['is gone', isGone],
])('when the parent %s, a worker that the policy denies gets no more calls of this process', async (_how, answer) => {
  const { share, applied } = setUp(answer)
  expect(await share({ kind: 'dismissed', holder })).toBe(true)
  expect(applied).toEqual([{ kind: 'dismissed', holder }])
})

test('a registration that the parent makes too late is taken back', async () => {
  const late = Promise.withResolvers<boolean>()
  const { share, asked } = setUp(() => late.promise)
  await expect(share(registered)).rejects.toMatchObject({ code: 'registry_unavailable' })
  late.resolve(true)
  await until('it is taken back', () => asked.length === 2)
  expect(asked[1]).toEqual({ kind: 'left', holder })
})

test('what the parent refuses is refused with its reason, and there is nothing to take back', async () => {
  const { share, asked } = setUp(() => Promise.reject(new AppError('overloaded', 'the registry is full')))
  await expect(share(registered)).rejects.toMatchObject({ code: 'overloaded', message: 'the registry is full' })
  await new Promise(setImmediate)
  expect(asked).toEqual([registered])
})
