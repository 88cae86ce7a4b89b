import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LoadGate, Slot } from '../../../src/controller/admission/load-gate.ts'
import type { Priority } from '../../../src/core/decision.ts'

const START = 32

let nowMs = 0
let refused: string[] = []
let gate: LoadGate
beforeEach(() => {
  vi.useFakeTimers()
  nowMs = 0
  refused = []
  gate = new LoadGate({ monotonic: () => nowMs, onRefused: (...said) => refused.push(said.join(' ')) })
})
afterEach(() => {
  gate.close()
  vi.useRealTimers()
})

async function pass(ms: number): Promise<void> {
  nowMs += ms
  await vi.advanceTimersByTimeAsync(ms)
}
/** Takes every place; resolves to their slots. */
const fill = (): Slot[] => Array.from({ length: START }, () => gate.enter()!)

/** Takes every place, and lets the line stand for longer than a burst, with one call in it. */
async function overload() {
  const slots = fill()
  const early = enter('early')
  await pass(0)
  await pass(4800)
  const late = enter('late')
  await pass(0)
  await pass(250)
  expect(gate.state()).toMatchObject({ inFlight: START, waiting: 1 })
  return { slots, early, late }
}

/** Enters, and notes what becomes of it. */
function enter(
  caller: string,
  priority: Priority = 'normal',
  { timeoutMs = 30_000, hasLeft = (): boolean => false } = {},
) {
  const entered: { slot: Slot | undefined; code: string | undefined } = { slot: undefined, code: undefined }
  void Promise.resolve()
    .then(() => gate.enter() ?? gate.wait({ caller, priority, timeoutMs, hasLeft }))
    .then(
      (slot) => (entered.slot = slot),
      (cause: unknown) => (entered.code = (cause as { code: string }).code),
    )
  return entered
}

describe('a call', () => {
  test('enters at once while there is room, without a promise', () => {
    expect(gate.enter()).toBeInstanceOf(Slot)
    expect(gate.state()).toMatchObject({ limit: START, inFlight: 1, waiting: 0 })
  })

  test('waits for a place, and gets it', async () => {
    const [first] = fill()
    const waiting = enter('a')
    await pass(1)
    expect(gate.state()).toMatchObject({ inFlight: START, waiting: 1 })
    first!.leave(true)
    await pass(0)
    expect(waiting.slot).toBeDefined()
    expect(gate.state()).toMatchObject({ inFlight: START, waiting: 0 })
  })

  test('of a burst waits, however many they are', async () => {
    const slots = fill()
    const burst = Array.from({ length: 1000 }, () => enter('a', 'low'))
    for (let round = 0; round < 40; round++) {
      await pass(100)
      for (const slot of slots.splice(0)) slot.leave(true)
      await pass(0)
      slots.push(...burst.flatMap(({ slot }) => slot ?? []).slice(-START))
    }
    expect(burst.every(({ slot }) => slot !== undefined)).toBe(true)
    expect(refused).toEqual([])
  })

  test('is refused when no place becomes free in five seconds', async () => {
    fill()
    const waiting = enter('a', 'low')
    await pass(0)
    await pass(4950)
    expect(waiting).toMatchObject({ slot: undefined, code: undefined })
    await pass(100)
    expect(waiting.code).toBe('overloaded')
    expect(refused).toEqual(['load low'])
    expect(gate.state().waiting).toBe(0)
  })

  test('waits no longer than its own time', async () => {
    fill()
    const waiting = enter('a', 'normal', { timeoutMs: 60 })
    await pass(0)
    await pass(50)
    expect(waiting.code).toBeUndefined()
    await pass(50)
    expect(waiting.code).toBe('overloaded')
  })

  test('whose caller leaves gives its place in the line to the next', async () => {
    const [first] = fill()
    let isThere = true
    const left = enter('a', 'high', { hasLeft: () => !isThere })
    const next = enter('b')
    await pass(0)
    isThere = false
    first!.leave(true)
    first!.leave(true)
    await pass(0)
    expect([left.code, left.slot, next.slot]).toEqual(['overloaded', undefined, expect.any(Slot)])
    expect(refused).toEqual(['left high'])
    expect(gate.state()).toMatchObject({ inFlight: START, waiting: 0 })
  })

  test('whose caller leaves is gone from the line within a moment, whoever is before it', async () => {
    fill()
    let isThere = true
    enter('a')
    const left = enter('a', 'normal', { hasLeft: () => !isThere })
    await pass(0)
    isThere = false
    await pass(25)
    expect(left.code).toBe('overloaded')
    expect(gate.state().waiting).toBe(1)
  })

  test('waits half a second only, once the line has stood for five', async () => {
    const { early, late } = await overload()
    expect([early.code, late.code]).toEqual(['overloaded', undefined])
    await pass(300)
    expect(late.code).toBe('overloaded')
  })

  test('that leaves twice is counted once', () => {
    const [first] = fill()
    first!.leave(true)
    first!.leave(false)
    expect(gate.state().inFlight).toBe(START - 1)
  })
})

describe('a line that stands', () => {
  test('refuses the newest of a caller that has its share', async () => {
    await overload()
    for (let n = 0; n < 7; n++) enter('loud')
    await pass(0)
    expect(gate.isFullFor({ caller: 'loud', priority: 'normal' })).toBe(true)
    const last = enter('loud')
    await pass(0)
    expect(last.code).toBe('overloaded')
  })

  test('makes room for another caller', async () => {
    const { slots, late } = await overload()
    const loud = Array.from({ length: 7 }, () => enter('loud'))
    const quiet = enter('quiet')
    await pass(0)
    expect(loud.map(({ code }) => code)).toEqual([...Array.from({ length: 6 }, () => undefined), 'overloaded'])
    expect(gate.isFullFor({ caller: 'quiet', priority: 'normal' })).toBe(false)
    for (const slot of slots.slice(0, 2)) slot.leave(false)
    await pass(0)
    expect([late, loud[0]!, quiet].map(({ slot }) => slot !== undefined)).toEqual([true, true, false])
  })

  test('makes room for a higher priority, which is next', async () => {
    const { slots } = await overload()
    const low = Array.from({ length: 7 }, () => enter('a', 'low'))
    const high = enter('a', 'high')
    await pass(0)
    expect(gate.isFullFor({ caller: 'a', priority: 'high' })).toBe(false)
    slots[0]!.leave(false)
    await pass(0)
    expect(high.slot).toBeDefined()
    expect(low.every(({ slot }) => slot === undefined)).toBe(true)
  })
})

test('a gate that nobody waits for has no timer', async () => {
  const [first] = fill()
  enter('a')
  await pass(0)
  expect(vi.getTimerCount()).toBe(1)
  first!.leave(true)
  await pass(50)
  expect(vi.getTimerCount()).toBe(0)
})
