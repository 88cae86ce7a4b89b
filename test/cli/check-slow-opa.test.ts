// `crank check` asks whether OPA is dead: one that is slower than a call may wait is not.
import { expect, test } from 'vitest'
import { startFakePdp } from '../fakes/pdp.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { crank } from './in-process.ts'

test('an OPA that answers later than OPA_TIMEOUT_MS is found alive', async () => {
  await using pdp = await slowPdp()
  const { stdout } = await crank(['check', '--admin-url', 'http://127.0.0.1:1'], {
    env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '50', CRANK_POLICY_DIR: POLICY_DIR },
  })
  expect(stdout).toMatch(/^√ policy +opa-http decides/m)
})

async function slowPdp() {
  const pdp = await startFakePdp((request) => {
    const answer = honestPdp(request)
    return typeof answer === 'object' && 'body' in answer ? { ...answer, afterMs: 400 } : answer
  })
  return { origin: pdp.origin, [Symbol.asyncDispose]: () => pdp.close() }
}
