// Over random histories of policy changes, blocks, expiries, clock steps and faults, the cache changes no answer.
import { expect, test } from 'vitest'
import type { Decide, Decision, PolicyEngine, PolicyInput } from '../../src/core/decision.ts'
import { AppError } from '../../src/core/errors.ts'
import { blockReasons, withBrake } from '../../src/policy/brake.ts'
import type { Blocked } from '../../src/policy/data/blocked.ts'
import { loadPolicyFiles } from '../../src/policy/data/policy-files.ts'
import { createDecisionCache } from '../../src/policy/decision-cache.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import {
  createRandom,
  generateAsk,
  generateData,
  NOW_NS,
  type DataSet,
  type Random,
} from '../fixtures/policy-corpus.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { policyInput } from '../fixtures/policy-input.ts'

type World = { engine: PolicyEngine; blocked: Blocked; revision: string }

const IDS = ['a', 'ab', 'a/b', 'b', 'c'].map((name) => `spiffe://crank.local/worker/${name}`)
const CAPABILITIES = ['stream:text_events', 'convert:document_to_pdf', 'invoke:hello_world', 'a:a']
const HISTORIES = 12
const STEPS = 300

/** Generated data in which some files concern nobody: else hardly any decision could be repeated. */
function someCalm(random: Random): DataSet {
  const data = generateData(random)
  const calm = { exceptions: {}, enforcement: { default: 'enforce' }, blocked: { identities: {}, capabilities: {} } }
  const files = Object.keys(calm) as (keyof typeof calm)[]
  return files.reduce((all, name) => (random.chance(70) ? { ...all, [name]: calm[name] } : all), data)
}

/** A call of the corpus at this instant. */
function callAt(random: Random, nowNs: bigint, id: number): PolicyInput {
  const input = policyInput(random.pick(IDS), random.pick(CAPABILITIES), nowNs)
  const origin = random.chance(97) ? input.context.origin : generateAsk(random).input.context.origin
  return { ...input, context: { ...input.context, origin, decision_id: `id-${id}` } }
}

async function replay(seed: number, maxAgeMs: number) {
  const random = createRandom(seed)
  const files = await loadPolicyFiles(POLICY_DIR, Date.now())
  let generation = 0
  const change = async (): Promise<World> => {
    const engine = await createOpaWasm({
      files: { ...files, dataText: JSON.stringify(someCalm(random)) },
      timeoutMs: 20_000,
    })
    return { engine, blocked: noBlocks(), revision: `r${++generation}` }
  }
  let world = await change()
  let nowNs = NOW_NS
  let ms = 0
  let isDown = false
  const cache = createDecisionCache({
    inForce: () => world,
    obstacle: (input) => (blockReasons('capability_access', input, world.blocked).length > 0 ? 'blocked' : undefined),
    maxAgeMs,
    monotonic: () => ms,
  })
  const decide: Decide = withBrake(
    { blocked: () => world.blocked, revision: () => world.revision },
    async (question, input) => {
      if (isDown) throw new AppError('policy_engine_unavailable')
      return { ...(await world.engine.decide(question, input)), revision: world.revision }
    },
  )
  const off = (input: PolicyInput): Promise<Decision | string> => decide('capability_access', input).catch(codeOf)
  const on = async (input: PolicyInput): Promise<Decision | string> => {
    const found = cache.look(input)
    if (typeof found === 'object') return found
    let decision: Decision | undefined
    try {
      decision = await decide('capability_access', input)
      return decision
    } catch (cause: unknown) {
      cache.clear()
      return codeOf(cause)
    } finally {
      found?.(decision)
    }
  }
  for (let step = 0; step < STEPS; step++) {
    ms += random.below(20)
    nowNs += BigInt(random.below(3))
    if (random.chance(2)) world = await change()
    if (random.chance(3)) world = { ...world, blocked: someBlocks(random) }
    if (random.chance(5)) nowNs = NOW_NS + BigInt(random.pick([-1, 0, 1, 126, 127, 128, 1e9, -5e9]))
    if (random.chance(isDown ? 20 : 1)) isDown = !isDown
    const input = callAt(random, nowNs, step)
    const [expected, given] = [await off(input), await on(input)]
    // A hit while the engine is down is right: nobody has asked it since, so nobody knows.
    if (isDown && typeof given === 'object') continue
    expect({ seed, step, given: plain(given) }).toEqual({ seed, step, given: plain(expected) })
  }
  return cache.counts()
}

/** Without what only a repeated decision has. */
function plain(answer: Decision | string): unknown {
  if (typeof answer === 'string') return answer
  const { repeats: _repeats, ...rest } = answer
  return rest
}

function codeOf(cause: unknown): string {
  return cause instanceof AppError ? cause.code : String(cause)
}

function noBlocks(): Blocked {
  return { identities: new Set(), capabilities: new Set(), certificates: new Set() }
}

function someBlocks(random: Random): Blocked {
  const some = (names: readonly string[]): Set<string> => new Set(names.filter(() => random.chance(25)))
  return { ...noBlocks(), identities: some(IDS), capabilities: some(CAPABILITIES) }
}

test.each([
  ['embedded', Infinity],
  ['sidecar', 1000],
])('cache on equals cache off: %s', async (_kind, maxAgeMs) => {
  let hits = 0
  for (let history = 1; history <= HISTORIES; history++) hits += (await replay(history, maxAgeMs)).hit
  // Enough of them to say something.
  expect(hits).toBeGreaterThan(HISTORIES * STEPS * 0.1)
})

test('beside a sidecar that changes on its own, no repeated decision is older than a second or than a revision seen', () => {
  const random = createRandom(5)
  let ms = 0
  let revision = 1
  let seen = 1
  let hits = 0
  const world = { revision: '1' }
  let inForce = { ...world }
  const changedAtMs = new Map([[1, 0]])
  const cache = createDecisionCache({
    inForce: () => inForce,
    obstacle: () => undefined,
    maxAgeMs: 1000,
    monotonic: () => ms,
  })
  for (let step = 0; step < 20_000; step++) {
    ms += random.below(30)
    if (random.chance(1)) changedAtMs.set(++revision, ms)
    // The controller learns of it from decisions, and records it some time later.
    if (random.chance(20) && inForce.revision !== String(seen)) inForce = { revision: String(seen) }
    const found = cache.look(callAt(random, NOW_NS, step))
    if (typeof found === 'object') {
      hits += 1
      expect(Number(found.revision)).toBe(seen)
      // What replaced it is younger than a second.
      const replacedMs = changedAtMs.get(Number(found.revision) + 1) ?? Infinity
      expect(ms - replacedMs).toBeLessThanOrEqual(1000)
      continue
    }
    // Other questions, too, name the revision.
    cache.noteRevision(String(revision))
    seen = revision
    found?.({ ...ALLOW, revision: String(revision) })
  }
  expect(hits).toBeGreaterThan(2000)
})

const ALLOW: Decision = {
  decision: 'allow',
  mode: 'enforce',
  grounds: ['declared'],
  reasons: [],
  exception: null,
  policyVersion: '1.0.0',
  validUntilNs: 9_223_372_036_854_775_807n,
}
