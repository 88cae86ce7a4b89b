// A candidate policy beside the active one on a real mesh: it is counted, and it decides nothing.
import { afterEach, expect, test } from 'vitest'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

let mesh: Mesh
afterEach(() => mesh.close())

type Status = { state: string; reason: string | null; revision: string | null; agreement: object; undecided: number }

const status = async (): Promise<Status> =>
  (JSON.parse((await mesh.admin('/health')).text) as { candidate: Status }).candidate
const call = async (verb: string, capability: string): Promise<string> =>
  ((await mesh.route(STREAMING, { verb, capability })).body as { error: string }).error

test('what it would decide is counted beside what was decided', async () => {
  const manifest = { worker_id: 'worker-streaming', required_capabilities: ['convert:document_to_pdf'] }
  const workers = { 'spiffe://crank.local/worker/streaming': manifest }
  await using other = await copyPolicies({ 'data/worker_manifests.json': JSON.stringify({ workers }) })
  mesh = await startMesh({ env: { CRANK_CANDIDATE_POLICY_DIR: other.dir } })
  await until('the candidate is ready', async () => (await status()).state === 'ready')

  expect(await call('invoke', 'hello_world')).toBe('no_worker_available')
  expect(await call('convert', 'document_to_pdf')).toBe('capability_access_denied')
  expect(await call('convert', 'pdf_to_text')).toBe('capability_access_denied')
  const agreement = { allow: { allow: 0, deny: 1 }, deny: { allow: 1, deny: 1 } }
  await until(
    'all three are compared',
    async () => JSON.stringify((await status()).agreement) === JSON.stringify(agreement),
  )

  const { revision } = await status()
  const { text } = await mesh.admin('/metrics')
  expect(text).toContain('controller_candidate_decisions_total{active="allow",candidate="deny"} 1')
  expect(text).toContain('controller_candidate_decisions_total{active="deny",candidate="allow"} 1')
  expect(text).toContain('controller_candidate_skipped_total{reason="dropped"} 0')
  expect(text).toContain(`controller_candidate_revision_info{revision="${revision ?? ''}"} 1`)
})

test('a candidate that cannot be used is reported, and matters to nobody', async () => {
  mesh = await startMesh({ env: { CRANK_CANDIDATE_POLICY_DIR: '/nowhere/policies' } })
  await until('the fault is seen', async () => (await status()).state === 'failed')
  expect(await status()).toMatchObject({ revision: null, reason: expect.stringContaining('/nowhere/policies') })
  expect(await call('invoke', 'hello_world')).toBe('no_worker_available')
  expect((await mesh.admin('/readyz')).status).toBe(200)
})
