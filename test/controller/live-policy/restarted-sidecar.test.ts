// A real OPA that does not watch its files comes back with those of the folder, which were refused until then.
import { afterEach, expect, test } from 'vitest'
import { createOpaHttp } from '../../../src/policy/engine/opa-http.ts'
import { blockedJson, observePolicy, replaceFile } from '../../fixtures/live-policy.ts'
import { startOpa } from '../../../scripts/lab/opa-server.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'
import { until } from '../../fixtures/until.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

test('none of sixty decisions fails after it is back, on whatever connections were kept', async () => {
  const opa = await startOpa({ policyDir: POLICY_DIR })
  cleanUps.push(() => opa.kill())
  const engine = createOpaHttp({ target: opa.target, timeoutMs: 20_000 })
  cleanUps.push(() => engine.close())
  const askSixty = () =>
    Promise.all(
      Array.from({ length: 60 }, () =>
        engine.decide('capability_access', policyInput(STREAMING, 'stream:text_events')),
      ),
    )
  let running = opa
  for (let round = 0; round < 4; round++) {
    expect((await askSixty()).map(({ decision }) => decision)).toEqual(new Array(60).fill('allow'))
    await running.kill()
    running = await startOpa({ policyDir: POLICY_DIR, port: opa.port })
    const started = running
    cleanUps.push(() => started.kill())
  }
})

test('the self-check brings them into force by their own revision, and finds no fault', async () => {
  const policies = await copyPolicies()
  cleanUps.push(() => policies[Symbol.asyncDispose]())
  const { dir } = policies
  const opa = await startOpa({ policyDir: dir, watch: false })
  cleanUps.push(() => opa.kill())
  // Told soon, and then not tried again by the watch itself.
  const limits = { faultMs: 200, retryMs: 3_600_000 }
  const live = await observePolicy({ policyDir: dir, opa: opa.target, limits })
  cleanUps.push(() => live[Symbol.asyncDispose]())
  await replaceFile(dir, 'data/blocked.json', blockedJson('spiffe://crank.local/worker/streaming'))
  await live.untilEvent('policy_change_refused')
  await opa.kill()
  const next = await startOpa({ policyDir: dir, watch: false, port: opa.port })
  cleanUps.push(() => next.kill())
  const whole = () => live.changes.filter(({ scope }) => scope === 'policy')
  await until('a change is in force', () => whole().length > 0)
  expect(whole().map((change) => change.next.revision)).toEqual([live.policy.files().revision])
  expect(live.policy.files().dataText).toContain('blocked by a test')
  expect(live.faults).toEqual(['OPA has not loaded it: it has different data'])
  await live.untilEvent('policy_mended')
})
