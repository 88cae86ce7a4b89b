// A real OPA sidecar that dies, hangs, comes back empty: calls are refused with 503 meanwhile, and nothing is restarted.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { startOpa, type OpaOptions, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { tempDir } from '../fixtures/pki/credential-files.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'

const DEADLINE_MS = 1000
const TROUBLE = ['policy_engine_unavailable', 'policy_engine_error', 'policy_not_ready']

for (const transport of ['tcp', 'unix'] as const) {
  describe(`an OPA sidecar (${transport})`, () => {
    let dir: Awaited<ReturnType<typeof tempDir>>
    let opa: OpaServer
    let mesh: Mesh
    let worker: FakeWorker

    /** Starts OPA where it was before. */
    async function start(options: OpaOptions = { policyDir: POLICY_DIR }): Promise<void> {
      const place = transport === 'unix' ? { unix: join(dir.path, 'opa.sock') } : { port: opa.port }
      opa = await startOpa({ ...place, ...options })
    }
    beforeAll(async () => {
      dir = await tempDir()
      opa = await startOpa({
        policyDir: POLICY_DIR,
        ...(transport === 'unix' ? { unix: join(dir.path, 'opa.sock') } : {}),
      })
      mesh = await startMesh({ env: { OPA_URL: opa.url, OPA_TIMEOUT_MS: String(DEADLINE_MS) } })
      worker = await startFakeWorker(mesh, greets)
      expect((await worker.register()).status).toBe(200)
    })
    afterAll(async () => {
      await worker.close()
      await mesh.close()
      await opa.stop()
      await dir[Symbol.asyncDispose]()
    })

    const allowed = (): Promise<Answer> => mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world' })
    const denied = (): Promise<Answer> => mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
    const serves = async (): Promise<boolean> => (await allowed()).status === 200
    async function policyCheck(): Promise<unknown> {
      const { checks } = JSON.parse((await mesh.admin('/readyz')).text) as { checks: { name: string }[] }
      return checks.find(({ name }) => name === 'policy')
    }
    const isRed = async (): Promise<boolean> => (await mesh.admin('/readyz')).status === 503

    /** Calls until `enough`, and shows that each is refused as trouble, recorded as trouble, and reaches no worker. */
    async function refusedUntil(enough: () => Promise<boolean>): Promise<Answer[]> {
      const before = worker.seen.length
      const answers = [await allowed()]
      await until('readiness shows it', async () => {
        answers.push(await allowed(), await denied())
        return enough()
      })
      answers.push(await allowed())
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
        expect(TROUBLE).toContain(answer.body.error)
        const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
        expect(record).toMatchObject({ event: 'policy_decision', decision: 'error', error: answer.body.error })
      }
      expect(worker.seen).toHaveLength(before)
      return answers
    }

    test('allows and denies like the embedded engine', async () => {
      expect(await allowed()).toMatchObject({ status: 200, body: { greeting: 'hi' } })
      const answer = await denied()
      const embedded = await startMesh()
      const other = await embedded.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
      const { decision_id, trace_id, ...body } = answer.body as Record<string, string>
      expect({ decision_id, trace_id }).toEqual({
        decision_id: answer.headers['x-decision-id'],
        trace_id: answer.headers['x-trace-id'],
      })
      expect(other).toMatchObject({ status: answer.status, body })
      const recordOf = (own: Mesh, of: Answer) =>
        own.auditedAs((line) => line['decision_id'] === of.headers['x-decision-id'])
      const [mine, theirs] = [await recordOf(mesh, answer), await recordOf(embedded, other)]
      const same = ['decision', 'mode', 'reasons', 'grounds', 'exception', 'policy_version', 'policy_revision']
      expect(same.map((name) => mine[name])).toEqual(same.map((name) => theirs[name]))
      expect([mine['engine'], theirs['engine']]).toEqual(['opa-http', 'opa-wasm'])
      await embedded.close()
    })

    test('that is killed gives policy_engine_unavailable and red readiness; back again, it is used again', async () => {
      await opa.kill()
      const answers = await refusedUntil(isRed)
      expect(new Set(answers.map(({ body }) => body.error as string))).toEqual(new Set(['policy_engine_unavailable']))
      expect(await policyCheck()).toEqual({ name: 'policy', ok: false, reason: 'the policy engine does not respond' })
      await start()
      await until('calls are served again', serves)
      expect((await mesh.admin('/readyz')).status).toBe(200)
    })

    test('that is stopped (SIGSTOP) is waited for until the deadline, then not at all; SIGCONT brings it back', async () => {
      await opa.pause()
      expect(await allowed()).toMatchObject({ status: 503, body: { error: 'policy_engine_unavailable' } })
      await refusedUntil(isRed)
      opa.resume()
      await until('calls are served again', serves)
      expect((await denied()).status).toBe(403)
    })

    test('that comes back without a policy allows nothing, until it has one again', async () => {
      await opa.kill()
      await start({ policyDir: undefined })
      await refusedUntil(async () => {
        const { reason } = (await policyCheck()) as { reason?: string }
        return reason === 'the policy engine gives no valid decision'
      })
      expect(await isRed()).toBe(true)
      await opa.kill()
      await start()
      await until('calls are served again', serves)
    })
  })
}
