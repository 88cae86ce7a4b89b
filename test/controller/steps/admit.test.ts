import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LoadGate, type Slot } from '../../../src/controller/admission/load-gate.ts'
import { createQuotas } from '../../../src/controller/admission/quotas.ts'
import type { RouteCall } from '../../../src/controller/call.ts'
import { createAdmit } from '../../../src/controller/steps/admit.ts'
import { parseLimits } from '../../../src/policy/data/limits.ts'
import type { Verdict } from '../../../src/policy/verdict.ts'
import { createNotingSink, routeCall } from '../../fixtures/route-call.ts'

const DECIDED = { decision: {} } as Verdict

let nowMs = 0
let gate: LoadGate
let noted: string[] = []
beforeEach(() => {
  vi.useFakeTimers()
  nowMs = 0
  noted = []
  gate = new LoadGate({ monotonic: () => nowMs, onRefused: (...said) => noted.push(said.join(' ')) })
})
afterEach(() => {
  gate.close()
  vi.useRealTimers()
})

function admitOf(limits?: object) {
  const monotonic = () => nowMs
  const quotas = createQuotas({ limits: () => parseLimits(limits), share: () => 1, monotonic })
  return createAdmit({
    quotas,
    gate,
    undeclaredBytes: 1000,
    monotonic,
    onLowered: (from, to) => noted.push(`${from} to ${to}`),
    onLimited: (reason, priority) => noted.push(`${reason} ${priority}`),
  })
}
function fill(): Slot[] {
  const slots: Slot[] = []
  for (let slot = gate.enter(); slot !== undefined; slot = gate.enter()) slots.push(slot)
  return slots
}
async function pass(ms: number): Promise<void> {
  nowMs += ms
  await vi.advanceTimersByTimeAsync(ms)
}

describe('a call that meets no limit', () => {
  test('is let in without a promise, as it is, and gives its place back once', () => {
    const call = routeCall()
    const admitted = admitOf()(call)
    expect(admitted).toMatchObject({ call })
    expect((admitted as { call: RouteCall }).call).toBe(call)
    expect(gate.state().inFlight).toBe(1)
    const entered = admitted as Exclude<typeof admitted, Promise<unknown>>
    entered.decided(DECIDED)
    entered[Symbol.dispose]()
    expect(gate.state().inFlight).toBe(0)
  })
})

describe('a call that has to wait', () => {
  test('has what is left of its time for its worker', async () => {
    const [first] = fill()
    const waiting = admitOf()(routeCall({ timeoutMs: 400 }))
    await pass(150)
    first!.leave(true)
    expect((await waiting).call.timeoutMs).toBe(250)
  })

  test('gives back what it holds when it waited in vain', async () => {
    fill()
    const admit = admitOf({ default: { concurrent: 1 } })
    const waiting = Promise.resolve(admit(routeCall({ timeoutMs: 100 }))).catch((cause: unknown) => cause)
    expect(() => admit(routeCall())).toThrow(/too many calls in flight/)
    await pass(130)
    expect(await waiting).toMatchObject({ code: 'overloaded' })
    expect(admit(routeCall())).toBeInstanceOf(Promise)
    expect(noted).toEqual(['concurrent normal', 'load normal'])
  })

  test('is refused when its caller leaves', async () => {
    fill()
    const sink = createNotingSink()
    const waiting = Promise.resolve(admitOf()(routeCall({ sink }))).catch((cause: unknown) => cause)
    sink.leave()
    await pass(25)
    expect(await waiting).toMatchObject({ code: 'overloaded', message: expect.stringContaining('left') as string })
    expect(noted).toEqual(['left normal'])
  })
})

test('a priority above the highest of the caller is lowered', () => {
  const admitted = admitOf({ default: { max_priority: 'low' } })(routeCall({ priority: 'high' }))
  expect(admitted).toMatchObject({ call: { priority: 'low', requestedPriority: 'high' } })
  expect(noted).toEqual(['high to low'])
})
