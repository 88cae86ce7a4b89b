import { describe, expect, test } from 'vitest'
import { createQuotas, type Hold } from '../../../src/controller/admission/quotas.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import { AppError } from '../../../src/core/errors.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { parseLimits } from '../../../src/policy/data/limits.ts'

const A = parseSpiffeId('spiffe://crank.local/worker/a')
const B = parseSpiffeId('spiffe://crank.local/worker/b')
const capability = parseCapability('do:this')
const other = parseCapability('do:that')

function quotasOf(limits: unknown, share = 1) {
  let nowMs = 0
  const quotas = createQuotas({ limits: () => parseLimits(limits), share: () => share, monotonic: () => nowMs })
  const enter = (caller = A, of = capability, bytes = 0) => quotas.enter({ caller, capability: of }, bytes)
  return { quotas, enter, pass: (ms: number) => (nowMs += ms) }
}
const headerOf = (refused: unknown): string | undefined => (refused as AppError).headers?.['ratelimit']

describe('without limits', () => {
  test('nothing is held or refused, and every priority is free', () => {
    const { quotas, enter } = quotasOf(undefined)
    for (let n = 0; n < 1000; n++) {
      expect(quotas.arrive(A, 1e9)).toBeUndefined()
      expect(enter()).toBe(enter())
    }
    expect(quotas.priorityOf(A, 'high')).toBe('high')
  })
})

describe('calls in flight', () => {
  test('are counted per caller, and given back once', () => {
    const { quotas, enter } = quotasOf({ default: { concurrent: 2 } })
    const first = enter() as Hold
    enter()
    expect(quotas.arrive(A, 0)).toBeInstanceOf(AppError)
    expect(headerOf(enter())).toBe('"identity_concurrent";r=0;t=1')
    expect(quotas.arrive(B, 0)).toBeUndefined()
    first.release()
    expect(quotas.arrive(A, 0)).toBeUndefined()
  })

  test('are counted per capability for all callers, and per caller and capability', () => {
    const { enter } = quotasOf({
      identities: { [A]: { capabilities: { 'do:this': { concurrent: 1 } } } },
      capabilities: { 'do:this': { concurrent: 2 } },
    })
    expect(enter(A)).not.toBeInstanceOf(AppError)
    expect(headerOf(enter(A))).toContain('identity_capability_concurrent')
    expect(enter(A, other)).not.toBeInstanceOf(AppError)
    expect(enter(B)).not.toBeInstanceOf(AppError)
    expect(headerOf(enter(B))).toContain('"capability_concurrent"')
  })
})

test('body bytes are counted, and a body over the limit itself is too large', () => {
  const { quotas, enter } = quotasOf({ default: { body_bytes: 10 } })
  const first = enter(A, capability, 6) as Hold
  expect(headerOf(quotas.arrive(A, 5))).toContain('identity_body')
  expect(quotas.arrive(A, 0)).toBeUndefined()
  expect(quotas.arrive(A, 11)).toMatchObject({ code: 'payload_too_large' })
  first.release()
  expect(quotas.arrive(A, 10)).toBeUndefined()
})

describe('a rate', () => {
  test('is taken on arrival for the caller, and on entry for capabilities', () => {
    const { quotas, enter, pass } = quotasOf({
      default: { rate: 1 },
      capabilities: { 'do:this': { rate: 2, burst: 1 } },
    })
    expect(quotas.arrive(A, 0)).toBeUndefined()
    expect(quotas.arrive(A, 0)).toMatchObject({ code: 'rate_limited', retryAfterS: 1 })
    expect(enter()).not.toBeInstanceOf(AppError)
    expect(headerOf(enter(B))).toContain('"capability_rate"')
    pass(500)
    expect(enter(B)).not.toBeInstanceOf(AppError)
  })

  test('costs nothing where another limit refuses', () => {
    const { enter, pass } = quotasOf({
      default: { capabilities: { 'do:this': { rate: 0.001, burst: 2 } } },
      capabilities: { 'do:this': { rate: 1, burst: 1 } },
    })
    expect(enter()).not.toBeInstanceOf(AppError)
    for (let n = 0; n < 5; n++) expect(headerOf(enter())).toContain('"capability_rate"')
    pass(1000)
    expect(enter()).not.toBeInstanceOf(AppError)
  })
})

test('a process with a part of the limits uses that part', () => {
  const { quotas, enter } = quotasOf({ default: { rate: 10, burst: 4, concurrent: 4 } }, 0.5)
  expect([1, 2, 3].map(() => quotas.arrive(A, 0) === undefined)).toEqual([true, true, false])
  enter()
  enter()
  expect(headerOf(enter())).toContain('concurrent')
})

test('the priority of a caller is at most that of its most specific entry', () => {
  const { quotas } = quotasOf({
    identities: { 'spiffe://crank.local/worker/': { max_priority: 'low' }, [A]: { max_priority: 'high' } },
  })
  expect(quotas.priorityOf(A, 'high')).toBe('high')
  expect(quotas.priorityOf(B, 'high')).toBe('low')
  expect(quotas.priorityOf(parseSpiffeId('spiffe://crank.local/other'), 'high')).toBe('normal')
  expect(quotas.priorityOf(A, 'low')).toBe('low')
})
