// A call that is shed ends with an outcome of its own, without a worker.
import { expect, test } from 'vitest'
import { createShed } from '../../../src/controller/steps/shed.ts'
import { routeCall } from '../../fixtures/route-call.ts'

test('lets a call pass that is not to wait', () => {
  expect(createShed({ refuse: () => undefined })(routeCall())).toBeUndefined()
})

test('ends a call with slo_shed, says when to try again, and calls no worker', () => {
  const asked: unknown[] = []
  const shed = createShed({
    refuse(...args) {
      asked.push(args)
      return 17
    },
  })
  const outcome = shed(routeCall({ priority: 'low' }))
  expect(asked).toEqual([['invoke:hello_world', 'low']])
  expect(outcome).toMatchObject({ outcome: 'refused', status: 503, workerId: null, attempts: 0, effect: 'none' })
  expect(outcome?.error).toMatchObject({ code: 'slo_shed', retryAfterS: 17 })
  expect(outcome?.error?.message).toContain('invoke:hello_world')
})
