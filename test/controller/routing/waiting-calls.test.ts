// The queue against a plain list: order, bounds, and who has to leave when it is full.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WaitingCalls } from '../../../src/controller/routing/waiting-calls.ts'
import { parseCapability } from '../../../src/core/capability.ts'
import { PRIORITIES } from '../../../src/core/decision.ts'

const CAPABILITIES = ['do:a', 'do:b'].map(parseCapability)
const LIMITS = { perCapability: 4, inAll: 6, bytes: 100 }

const call = fc.record({
  capability: fc.constantFrom(...CAPABILITIES),
  priority: fc.constantFrom(...PRIORITIES),
  bytes: fc.constantFrom(0, 10, 40, 101),
})
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never
const rank = ({ priority }: Call): number => PRIORITIES.indexOf(priority)
const bytesOf = (calls: readonly Call[]): number => calls.reduce((sum, { bytes }) => sum + bytes, 0)

/** The same rules on a list in the order of arrival. Undefined: refused. */
function modelAdmit(list: readonly Call[], next: Call): { list: Call[]; leaving: Call[] } | undefined {
  const worst = (calls: readonly Call[]): Call | undefined =>
    calls
      .filter((it) => rank(it) < rank(next))
      .reduce<Call | undefined>((w, it) => (w && rank(w) < rank(it) ? w : it), undefined)
  let left = [...list]
  const leaving: Call[] = []
  const drop = (victim: Call): void => {
    left = left.filter((it) => it !== victim)
    leaving.push(victim)
  }
  if (next.bytes > LIMITS.bytes) return undefined
  const own = left.filter(({ capability }) => capability === next.capability)
  if (own.length >= LIMITS.perCapability) {
    const victim = worst(own)
    if (victim === undefined) return undefined
    drop(victim)
  }
  while (left.length >= LIMITS.inAll || bytesOf(left) + next.bytes > LIMITS.bytes) {
    const victim = worst(left)
    if (victim === undefined) return undefined
    drop(victim)
  }
  return { list: [...left, next], leaving }
}

const byTurn = (list: readonly Call[], capability: Call['capability']): Call[] =>
  PRIORITIES.toReversed().flatMap((priority) =>
    list.filter((it) => it.capability === capability && it.priority === priority),
  )

test('order, bounds and displaced calls are those of a plain list', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: call.map((it) => ({ kind: 'admit' as const, call: it })) },
    { weight: 1, arbitrary: fc.nat(20).map((at) => ({ kind: 'remove' as const, at })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...CAPABILITIES).map((capability) => ({ kind: 'turn' as const, capability })),
    },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const waiting = new WaitingCalls<Call>(LIMITS)
      let list: Call[] = []
      for (const it of steps) {
        if (it.kind === 'admit') {
          // A new object: the same call never waits twice.
          const next = { ...it.call }
          const expected = modelAdmit(list, next)
          expect(waiting.admit(next)).toEqual(expected?.leaving)
          list = expected?.list ?? list
        } else {
          const victim = it.kind === 'remove' ? list[it.at] : byTurn(list, it.capability)[0]
          const [first] = it.kind === 'turn' ? waiting.inTurn(it.capability) : []
          if (it.kind === 'turn') expect(first).toBe(victim)
          if (victim !== undefined) expect([waiting.remove(victim), waiting.remove(victim)]).toEqual([true, false])
          list = list.filter((other) => other !== victim)
        }
        expect(waiting.size).toBe(list.length)
        expect(waiting.size).toBeLessThanOrEqual(LIMITS.inAll)
        for (const capability of CAPABILITIES) {
          const expected = byTurn(list, capability)
          expect([...waiting.inTurn(capability)]).toEqual(expected)
          expect(waiting.count(capability)).toBe(expected.length)
        }
      }
      const counts = CAPABILITIES.map((capability): [string, number] => [capability, byTurn(list, capability).length])
      expect(new Map<string, number>(waiting.counts())).toEqual(new Map(counts.filter(([, count]) => count > 0)))
    }),
    { numRuns: 300 },
  )
})
