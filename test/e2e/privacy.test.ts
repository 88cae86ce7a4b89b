// Masked reasons on real TLS with the real policy: privacy.json comes into force while the controller runs, the records keep the
// codes alone, and the caller still learns why.
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMesh, STREAMING, TRUST_DOMAIN, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const PRIVACY = 'data/privacy.json'
const DENIED = { verb: 'delete', capability: 'everything', payload: {} }

let policies: PolicyDir
let mesh: Mesh
beforeAll(async () => {
  policies = await copyPolicies({ [PRIVACY]: '{}' })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
})
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

async function bringIntoForce(content: object): Promise<void> {
  const changes = async () => (await mesh.audit()).filter(({ event }) => event === 'policy_changed')
  const before = (await changes()).length
  const path = join(policies.dir, PRIVACY)
  await writeFile(`${path}.new`, JSON.stringify(content))
  await rename(`${path}.new`, path)
  await until('the change is in force', async () => (await changes()).length > before)
}

async function recordOf({ body }: Answer) {
  return mesh.auditedAs((line) => line['decision_id'] === body.decision_id && line.event === 'policy_decision')
}

test('the sentences of the policy are recorded until privacy.json masks them; codes and answers stay', async () => {
  const spoken = await mesh.route(STREAMING, DENIED)
  const message = expect.stringContaining(`spiffe://${TRUST_DOMAIN}/${STREAMING}`) as string
  const reasons = [{ code: 'capability_not_declared', message }]
  expect(await recordOf(spoken)).toMatchObject({ decision: 'deny', reasons })

  await bringIntoForce({ privacy: { mask_reason_messages: true } })
  const masked = await mesh.route(STREAMING, DENIED)
  expect(await recordOf(masked)).toMatchObject({
    decision: 'deny',
    reasons: [{ code: 'capability_not_declared', message: 'masked' }],
  })
  expect(masked).toMatchObject({ status: 403, body: { reason: spoken.body.reason } })
  const change = await mesh.auditedAs(({ event }) => event === 'policy_changed')
  expect(change['changed']).toMatchObject({ privacy: { added: 1, names: ['+mask_reason_messages'] } })

  await bringIntoForce({})
  expect(await recordOf(await mesh.route(STREAMING, DENIED))).toMatchObject({ reasons })
})
