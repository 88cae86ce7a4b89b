// A real OPA that dies, hangs, lies and comes back, under a controller's policy that is never restarted.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createGuard, type Guard } from '../../../src/controller/live-policy/guard.ts'
import { createOpaHttp } from '../../../src/policy/engine/opa-http.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../../src/policy/data/policy-files.ts'
import { createSelfCheck } from '../../../src/policy/engine/self-check.ts'
import type { Decision, PolicyEngine } from '../../../src/core/decision.ts'
import { startOpa, type OpaOptions, type OpaServer } from '../../../scripts/lab/opa-server.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'

// Generous, so that a loaded machine causes no trouble of its own; the hanging one is measured with the default.
const TIMEOUT_MS = 10_000
const DEFAULT_TIMEOUT_MS = 100
const REPEATS = 20

let files: PolicyFiles
beforeAll(async () => {
  files = await loadPolicyFiles(POLICY_DIR, Date.now())
})

const cleanUps: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function start(options: OpaOptions): Promise<OpaServer> {
  const opa = await startOpa(options)
  cleanUps.push(() => opa.kill())
  return opa
}

async function readyPolicy(
  opa: OpaServer,
  timeoutMs = TIMEOUT_MS,
): Promise<{ policy: Guard; engine: PolicyEngine; events: string[] }> {
  const events: string[] = []
  const record = (fields: object): void => void events.push((fields as { event: string }).event)
  const engine = createOpaHttp({ target: opa.target, timeoutMs })
  const policy = guarded(engine, files, record)
  cleanUps.push(() => stopped(policy, engine))
  await untilReady(policy)
  return { policy, engine, events }
}

function guarded(engine: PolicyEngine, own: PolicyFiles, note: (fields: object) => void): Guard {
  return createGuard({
    isRemote: true,
    inForce: () => ({ engine, files: own, revision: own.revision }),
    check: createSelfCheck({ engine, files: own, now: Date.now }),
    log: { info: note, warn: note, error: note },
    now: Date.now,
  })
}

function stopped(policy: Guard, engine: PolicyEngine): Promise<void> {
  policy.stop()
  return engine.close()
}

const untilReady = (policy: Guard, ok = true): Promise<void> =>
  vi.waitFor(() => expect(policy.ready().ok).toBe(ok), { timeout: 15_000, interval: 20 })
const ask = ({ decide }: Guard): Promise<Decision> =>
  decide('capability_access', policyInput(STREAMING, 'stream:text_events'))
const untilAllowed = (policy: Guard): Promise<void> =>
  vi.waitFor(async () => expect((await ask(policy)).decision).toBe('allow'), { timeout: 15_000, interval: 20 })

/** Asks until the door is shut, and a few times more; nothing but typed trouble may come out. */
async function codesOf(policy: Guard): Promise<Set<unknown>> {
  const codes = new Set<unknown>()
  const tryOnce = async (): Promise<void> => {
    codes.add(
      await ask(policy).then(
        ({ decision }) => decision,
        (error: unknown) => (error as { code: unknown }).code,
      ),
    )
  }
  await vi.waitFor(
    async () => {
      await tryOnce()
      expect(policy.ready().ok).toBe(false)
    },
    { timeout: 15_000, interval: 10 },
  )
  for (let n = 0; n < REPEATS; n++) await tryOnce()
  return codes
}

describe('OPA', () => {
  test('killed: no allow, one log line, and service again when it is back', async () => {
    const opa = await start({ policyDir: POLICY_DIR })
    const { policy, events } = await readyPolicy(opa)
    expect((await ask(policy)).decision).toBe('allow')
    await opa.kill()
    expect(await codesOf(policy)).toEqual(new Set(['policy_engine_unavailable']))
    expect(events.filter((event) => event === 'opa_unreachable')).toHaveLength(1)
    await start({ policyDir: POLICY_DIR, port: opa.port })
    await untilAllowed(policy)
    expect(events.at(-1)).toBe('policy_ready')
  })

  test('hanging (SIGSTOP): refused at the deadline, at once later on, and service again when it goes on', async () => {
    const opa = await start({ policyDir: POLICY_DIR })
    const { policy, engine } = await readyPolicy(opa, DEFAULT_TIMEOUT_MS)
    await opa.pause()
    const began = performance.now()
    const question = policyInput(STREAMING, 'stream:text_events')
    const decision = engine.decide('capability_access', question)
    // Undici's own timeouts are half a second late and more. Both timers stand in one event loop: what stalls it stalls both.
    const late = delay(DEFAULT_TIMEOUT_MS + 200, 'after the deadline')
    await expect(Promise.race([decision, late])).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
    expect(performance.now() - began).toBeGreaterThan(DEFAULT_TIMEOUT_MS - 5)
    expect(await codesOf(policy)).toEqual(new Set(['policy_engine_unavailable']))
    opa.resume()
    await untilAllowed(policy)
  })

  test('coming back without a policy: no allow until it has one', async () => {
    const opa = await start({ policyDir: POLICY_DIR })
    const { policy } = await readyPolicy(opa)
    await opa.kill()
    await codesOf(policy)
    const empty = await start({ port: opa.port })
    await vi.waitFor(
      () => expect(policy.ready()).toEqual({ ok: false, reason: 'the policy engine gives no valid decision' }),
      { timeout: 15_000 },
    )
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
    await empty.kill()
    await start({ policyDir: POLICY_DIR, port: opa.port })
    await untilAllowed(policy)
  })

  test('replaced by one that allows everybody, while nobody asked: noticed, and not trusted', async () => {
    const rego = `package crank.capability_access\n\nimport data.crank.common\n\ndecision := {"allow": true, "mode": "enforce", "grounds": ["declared"], "reasons": [], "exception": null, "policy_version": "1", "decision_id": common.decision_id}\n`
    await using lying = await copyPolicies({ 'capability_access.rego': rego })
    const opa = await start({ policyDir: POLICY_DIR })
    const { policy } = await readyPolicy(opa)
    await opa.kill()
    const liar = await start({ policyDir: lying.dir, port: opa.port })
    await vi.waitFor(
      () => expect(policy.ready()).toEqual({ ok: false, reason: 'the policy allows an unknown caller' }),
      {
        timeout: 15_000,
      },
    )
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
    await liar.kill()
  })

  test('absent at first: the controller waits for it', async () => {
    const opa = await start({ policyDir: POLICY_DIR })
    await opa.kill()
    const engine = createOpaHttp({ target: opa.target, timeoutMs: TIMEOUT_MS })
    const quiet = (): void => undefined
    const policy = guarded(engine, files, quiet)
    cleanUps.push(() => stopped(policy, engine))
    await vi.waitFor(
      () => expect(policy.ready()).toEqual({ ok: false, reason: 'the policy engine does not respond' }),
      {
        timeout: 15_000,
      },
    )
    await expect(ask(policy)).rejects.toMatchObject({ code: 'policy_not_ready' })
    await start({ policyDir: POLICY_DIR, port: opa.port })
    await untilAllowed(policy)
  })
})
