// The order of the steps is the promise: nothing happens before its record is durable.
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/core/errors.ts'
import type { RouteCall, RouteOutcome } from '../../src/controller/call.ts'
import type { Verdict } from '../../src/policy/verdict.ts'
import { isRecorded } from '../../src/controller/steps/recorded.ts'
import { createPipeline, type Steps } from '../../src/controller/pipeline.ts'

const call = {} as RouteCall
const common = { mode: 'enforce', grounds: [], exception: null, policyVersion: '1' } as const
const allow = { ruling: 'allow', decision: { ...common, decision: 'allow', reasons: [] } } as unknown as Verdict
const deny = {
  ruling: 'deny',
  decision: { ...common, decision: 'deny', reasons: [{ code: 'capability_not_declared', message: 'no' }] },
} as unknown as Verdict
const trouble = {
  ruling: 'error',
  decision: undefined,
  error: new AppError('policy_engine_unavailable'),
} as unknown as Verdict
const completed = { outcome: 'completed', status: 200, error: undefined } as RouteOutcome

function setup(steps: Partial<Steps> = {}) {
  const done: string[] = []
  const note =
    <T>(name: string, value: T) =>
    () => {
      done.push(name)
      return value
    }
  const route = createPipeline({
    admit: (asked) => Promise.resolve({ call: asked, decided: () => undefined, [Symbol.dispose]: () => undefined }),
    judge: note('judge', Promise.resolve(allow)),
    tryCandidate: note('tryCandidate', undefined),
    recordVerdict: note('recordVerdict', Promise.resolve()),
    shed: note('shed', undefined),
    forward: note('forward', Promise.resolve(completed)),
    once: note('once', Promise.resolve(completed)),
    recordOutcome: note('recordOutcome', undefined),
    ...steps,
  })
  return { route, done }
}

describe('the pipeline', () => {
  test('decides, records, forwards, records again', async () => {
    const { route, done } = setup()
    await route(call)
    expect(done).toEqual(['judge', 'tryCandidate', 'recordVerdict', 'shed', 'forward', 'recordOutcome'])
  })

  test('takes the call that was admitted, and lets the next one in when its record is durable', async () => {
    const admitted = { priority: 'low' } as RouteCall
    const seen: RouteCall[] = []
    const { route, done } = setup({
      admit: () => {
        done.push('admit')
        return Promise.resolve({
          call: admitted,
          decided: () => void done.push('decided'),
          [Symbol.dispose]: () => void done.push('left'),
        })
      },
      forward: (one) => {
        seen.push(one)
        done.push('forward')
        return Promise.resolve(completed)
      },
    })
    await route(call)
    expect(done).toEqual([
      'admit',
      'judge',
      'tryCandidate',
      'recordVerdict',
      'decided',
      'shed',
      'forward',
      'recordOutcome',
      'left',
    ])
    expect(seen).toEqual([admitted])
  })

  test('asks nothing about a call that is not admitted', async () => {
    const { route, done } = setup({ admit: () => Promise.reject(new AppError('rate_limited')) })
    await expect(route(call)).rejects.toMatchObject({ code: 'rate_limited' })
    expect(done).toEqual([])
  })

  test('gives the place of a call back that fails', async () => {
    let left = 0
    const admit: Steps['admit'] = () =>
      Promise.resolve({ call, decided: () => undefined, [Symbol.dispose]: () => (left += 1) })
    const { route } = setup({ admit, recordVerdict: () => Promise.reject(new AppError('audit_unavailable')) })
    await expect(route(call)).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(left).toBe(1)
  })

  test('waits for the record before it forwards', async () => {
    let durable: () => void = () => undefined
    const { route, done } = setup({ recordVerdict: () => new Promise((resolve) => (durable = resolve)) })
    const routed = route(call)
    await new Promise(setImmediate)
    expect(done).toEqual(['judge', 'tryCandidate'])
    durable()
    await routed
    expect(done).toEqual(['judge', 'tryCandidate', 'shed', 'forward', 'recordOutcome'])
  })

  test('does not forward without a record, whatever the policy said', async () => {
    const { route, done } = setup({ recordVerdict: () => Promise.reject(new AppError('audit_unavailable')) })
    await expect(route(call)).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(done).toEqual(['judge', 'tryCandidate'])
  })

  test('records a denial and ends with the sentence and code of the policy', async () => {
    const { route, done } = setup({ judge: () => Promise.resolve(deny) })
    await expect(route(call)).rejects.toMatchObject({
      code: 'capability_access_denied',
      message: 'no',
      reasonCode: 'capability_not_declared',
    })
    expect(done).toEqual(['tryCandidate', 'recordVerdict'])
  })

  test.each(['would_deny', 'unevaluated'] as const)('forwards %s, which shadow mode lets pass', async (ruling) => {
    const verdict = { ...(ruling === 'would_deny' ? deny : trouble), ruling } as Verdict
    const { route, done } = setup({ judge: () => Promise.resolve(verdict) })
    await route(call)
    expect(done).toEqual(['tryCandidate', 'recordVerdict', 'shed', 'forward', 'recordOutcome'])
  })

  test('records a call that is shed, and does not forward it', async () => {
    const error = new AppError('slo_shed')
    const shed = { outcome: 'refused', status: 503, error } as RouteOutcome
    const recorded: RouteOutcome[] = []
    const { route, done } = setup({ shed: () => shed, recordOutcome: (_call, outcome) => void recorded.push(outcome) })
    await expect(route(call)).rejects.toBe(error)
    expect(recorded).toEqual([shed])
    expect(done).toEqual(['judge', 'tryCandidate', 'recordVerdict'])
    expect(isRecorded(error)).toBe(true)
  })

  test('sheds nothing that the policy denies', async () => {
    const { route, done } = setup({ judge: () => Promise.resolve(deny) })
    await expect(route(call)).rejects.toMatchObject({ code: 'capability_access_denied' })
    expect(done).not.toContain('shed')
  })

  test('does not forward what shadow mode lets pass without a record', async () => {
    const { route, done } = setup({
      judge: () => Promise.resolve({ ...deny, ruling: 'would_deny' } as Verdict),
      recordVerdict: () => Promise.reject(new AppError('audit_unavailable')),
    })
    await expect(route(call)).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(done).toEqual(['tryCandidate'])
  })

  test('records trouble and ends with it', async () => {
    const { route, done } = setup({ judge: () => Promise.resolve(trouble) })
    await expect(route(call)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    expect(done).toEqual(['tryCandidate', 'recordVerdict'])
  })

  test('records the outcome before it reports a failure to the caller', async () => {
    const error = new AppError('worker_timeout')
    const { route, done } = setup({ forward: () => Promise.resolve({ ...completed, outcome: 'timeout', error }) })
    await expect(route(call)).rejects.toBe(error)
    expect(done).toEqual(['judge', 'tryCandidate', 'recordVerdict', 'shed', 'recordOutcome'])
  })
  test.each([
    ['a denial', { judge: () => Promise.resolve(deny) }, true],
    ['trouble', { judge: () => Promise.resolve(trouble) }, true],
    [
      'a failed call',
      { forward: () => Promise.resolve({ ...completed, error: new AppError('worker_failed') } as RouteOutcome) },
      true,
    ],
    ['what could not be recorded', { recordVerdict: () => Promise.reject(new AppError('audit_unavailable')) }, false],
  ] satisfies [what: string, steps: Partial<Steps>, recorded: boolean][])(
    'says of %s whether the audit log has it',
    async (_what, steps, recorded) => {
      const error = await setup(steps)
        .route(call)
        .then(
          () => undefined,
          (cause: unknown) => cause as Error,
        )
      expect(error).toBeInstanceOf(AppError)
      expect(isRecorded(error!)).toBe(recorded)
    },
  )
})
