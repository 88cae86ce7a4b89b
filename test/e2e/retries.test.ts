// A second attempt over real TLS, with the shipped policy and its files: what was allowed a moment ago may be blocked now.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { blockedJson } from '../fixtures/live-policy.ts'
import { startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const CAPABILITIES = [{ ...HELLO_SCHEMA, retry_safe: true }]

let policies: PolicyDir
let mesh: Mesh
let workers: FakeWorker[]
/** Breaks off the first execution that arrived at either worker. */
let breakOff: (() => void) | undefined
beforeEach(async () => {
  policies = await copyPolicies()
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  breakOff = undefined
  workers = await Promise.all(
    ['worker-hello-world.a', 'worker-hello-world.b'].map((workerId) =>
      startFakeWorker(
        mesh,
        (request, response) => {
          if (breakOff === undefined) breakOff = () => request.socket.destroy()
          else response.writeHead(200, { 'content-type': 'application/json' }).end('{"greeting":"hi"}')
        },
        { workerId },
      ),
    ),
  )
  for (const [at, worker] of workers.entries()) {
    const workerId = `worker-hello-world.${'ab'[at]!}`
    expect((await worker.register({ workerId, capabilities: CAPABILITIES })).status).toBe(200)
  }
})
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()))
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const call = (): Promise<Answer> =>
  mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {}, idempotency_key: 'k' })
const executions = (): number => workers.reduce((sum, { seen }) => sum + seen.length, 0)
const decisions = (lines: readonly AuditLine[]): AuditLine[] =>
  lines.filter(({ event, capability }) => event === 'policy_decision' && capability === 'invoke:hello_world')

test('a call that failed on a worker is answered by the other one, as the same call', async () => {
  const answer = call()
  await until('it is executed', () => breakOff !== undefined)
  breakOff!()
  expect(await answer).toMatchObject({ status: 200, body: { greeting: 'hi' } })
  expect(executions()).toBe(2)
  const outcome = await mesh.auditedAs(({ event }) => event === 'route_outcome')
  expect(outcome['attempts_made']).toHaveLength(2)
})

test('a caller that was blocked in between is denied, and no other worker executes the call', async () => {
  const answer = call()
  await until('it is executed', () => breakOff !== undefined)
  await writeFile(join(policies.dir, 'data/blocked.json'), blockedJson(`spiffe://crank.local/${STREAMING}`))
  await mesh.auditedAs(({ event }) => event === 'policy_changed')
  breakOff!()
  const refused = await answer
  expect(refused.status).toBe(403)
  expect(executions()).toBe(1)
  const [first, second] = decisions(await mesh.audit())
  expect(first).toMatchObject({ decision: 'allow' })
  expect(second).toMatchObject({ decision: 'deny', retry_of: first!['decision_id'] })
})
