// When a decision is made again before a further attempt, and what follows from it.
import { describe, expect, test } from 'vitest'
import type { RouteCall } from '../../../src/controller/call.ts'
import { createDecideAgain } from '../../../src/controller/steps/decide-again.ts'
import { AppError } from '../../../src/core/errors.ts'
import type { Verdict } from '../../../src/policy/verdict.ts'
import { routeCall } from '../../fixtures/route-call.ts'

const NOW_MS = Date.parse('2026-11-30T10:00:00.000Z')
const verdictOf = (ageMs: number, over: object = {}): Verdict => {
  const context = { timestamp: new Date(NOW_MS - ageMs).toISOString() }
  return { ruling: 'allow', revision: 'r1', input: { context }, ...over } as unknown as Verdict
}
const denied = verdictOf(0, {
  ruling: 'deny',
  revision: 'r2',
  decision: { reasons: [{ code: 'capability_not_declared', message: 'not any more' }] },
})

function setUp({ revision = 'r1', next = verdictOf(0), fault = undefined as AppError | undefined } = {}) {
  const recorded: [call: RouteCall, verdict: Verdict][] = []
  const decideAgain = createDecideAgain({
    judge: () => Promise.resolve(next),
    recordVerdict: (call, verdict) => {
      recorded.push([call, verdict])
      return fault === undefined ? Promise.resolve() : Promise.reject(fault)
    },
    revision: () => revision,
    now: () => NOW_MS,
    newId: () => 'new-id',
  })
  return { recorded, decideAgain }
}

describe('the last decision counts', () => {
  test.each([
    ['while it is fresh', 1000, 'r1', true],
    ['not when it is older than a second', 1001, 'r1', false],
    ['not when the policy has changed', 0, 'r2', false],
    ['not when the clock went back', -1001, 'r1', false],
  ])('%s', (_when, ageMs, revision, counts) => {
    const { decideAgain } = setUp({ revision })
    expect(decideAgain({ call: routeCall(), verdict: verdictOf(ageMs) }) === undefined).toBe(counts)
  })
})

test('a new decision is recorded with an id of its own that points to the call, however many follow', async () => {
  const { recorded, decideAgain } = setUp()
  const call = routeCall()
  const again = await decideAgain({ call, verdict: verdictOf(2000) })
  expect(again).toMatchObject({ call: { decisionId: 'new-id', retryOf: call.decisionId } })
  if (again === undefined || again instanceof AppError) throw new Error('refused')
  await decideAgain({ ...again, verdict: verdictOf(2000) })
  expect(recorded.map(([{ decisionId, retryOf }]) => [decisionId, retryOf])).toEqual([
    ['new-id', call.decisionId],
    ['new-id', call.decisionId],
  ])
})

test('a denial is recorded and refuses the call with the sentence of the policy', async () => {
  const { recorded, decideAgain } = setUp({ revision: 'r2', next: denied })
  const again = await decideAgain({ call: routeCall(), verdict: verdictOf(0) })
  expect(again).toMatchObject({ code: 'capability_access_denied', message: 'not any more' })
  expect(recorded).toMatchObject([[{ decisionId: 'new-id' }, { ruling: 'deny' }]])
})

test('without a record there is no further attempt', async () => {
  const { decideAgain } = setUp({ fault: new AppError('audit_unavailable') })
  expect(await decideAgain({ call: routeCall(), verdict: verdictOf(2000) })).toMatchObject({
    code: 'audit_unavailable',
  })
})
