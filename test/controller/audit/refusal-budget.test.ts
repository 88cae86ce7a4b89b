import { expect, test } from 'vitest'
import { requestRefused, type RefusalEvent } from '../../../src/audit/event.ts'
import { createRefusalBudget } from '../../../src/controller/audit/refusal-budget.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { refusal, until } from './support.ts'

function collect(): { events: RefusalEvent[]; append: (event: RefusalEvent) => Promise<void>; broken: boolean } {
  const events: RefusalEvent[] = []
  const sink = {
    events,
    broken: false,
    append: (event: RefusalEvent): Promise<void> => {
      if (sink.broken) return Promise.reject(new Error('no'))
      events.push(event)
      return Promise.resolve()
    },
  }
  return sink
}

const expired = (mark: string): RefusalEvent => ({ ...refusal(mark), error: 'client_certificate_expired' })
const invalid = requestRefused({
  atMs: 0,
  decisionId: 'd',
  traceId: 't',
  requester: parseSpiffeId('spiffe://crank.local/worker/a'),
  error: 'request_invalid',
  reason: 'verb is missing',
})

test('within the budget each refusal is recorded whole, beyond it each reason once with a count', async () => {
  const { events, append } = collect()
  const budget = createRefusalBudget({ perSecond: 3, append, now: () => 1500 })
  for (let i = 0; i < 100; i++) budget.record(refusal(`d-${i}`))
  for (let i = 0; i < 50; i++) budget.record(expired(`e-${i}`))
  budget.record(invalid)
  await budget.close()
  const common = { timestamp: '1970-01-01T00:00:01.500Z', decision_id: null, trace_id: null }
  expect(events.slice(0, 3)).toEqual([refusal('d-0'), refusal('d-1'), refusal('d-2')])
  expect(events.slice(3)).toEqual([
    { ...refusal('d-3'), ...common, remote_address: null, count: 97 },
    { ...expired('e-0'), ...common, remote_address: null, count: 50 },
    { ...invalid, ...common, requester_spiffe_id: null, reason: null, count: 1 },
  ])
})

test('each second has a budget of its own', async () => {
  const { events, append } = collect()
  let nowMs = 0
  const budget = createRefusalBudget({ perSecond: 1, append, now: () => nowMs })
  for (nowMs = 0; nowMs < 5000; nowMs += 500) budget.record(refusal(`d-${nowMs}`))
  expect(events.map((event) => event.decision_id)).toEqual(['d-0', 'd-1000', 'd-2000', 'd-3000', 'd-4000'])
  await budget.close()
  expect(events.at(-1)).toMatchObject({ count: 5 })
})

test('the counts are written within a second or so, without another refusal', async () => {
  const { events, append } = collect()
  const budget = createRefusalBudget({ perSecond: 0, append, now: () => 0 })
  budget.record(refusal('d-1'))
  budget.record(refusal('d-2'))
  await until(() => events.length === 1)
  expect(events[0]).toMatchObject({ event: 'identity_refused', count: 2 })
})

test('a refusal that could not be written is counted and told later', async () => {
  const sink = collect()
  const budget = createRefusalBudget({ perSecond: 10, append: (event) => sink.append(event), now: () => 0 })
  sink.broken = true
  budget.record(refusal('d-1'))
  budget.record(refusal('d-2'))
  await Promise.resolve()
  sink.broken = false
  await until(() => sink.events.length === 1)
  expect(sink.events[0]).toMatchObject({ decision_id: null, count: 2 })
})
