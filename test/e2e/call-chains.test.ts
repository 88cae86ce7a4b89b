// Chains of calls over real TLS: a worker's calls on behalf of a call are judged and recorded with the origin of the chain.
import Type from 'typebox'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import { InvokeError } from '../../src/worker/invoke.ts'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { greets, startFakeWorker } from '../fakes/worker.ts'
import { greeter } from '../fixtures/greeter.ts'
import { HELLO, postJson, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

const CLIENT = 'worker/client'
const idOf = (path: string): string => `spiffe://crank.local/${path}`

const worker = (path: string, required: string[], provided: string[]) => ({
  [idOf(path)]: {
    worker_id: path.replace('/', '-'),
    required_capabilities: required,
    provided_capabilities: provided,
    owner: 'test',
    deployed_at: '2026-11-24T00:00:00Z',
  },
})
const MANIFESTS = {
  workers: {
    ...worker(CLIENT, ['stream:text_events', 'invoke:hello_world'], []),
    ...worker(STREAMING, ['invoke:hello_world', 'stream:text_events'], ['stream:text_events']),
    ...worker(HELLO, ['invoke:hello_world'], ['invoke:hello_world']),
  },
}

let policies: PolicyDir
let mesh: Mesh
const running: RunningWorker[] = []
beforeAll(async () => {
  policies = await copyPolicies({ 'data/worker_manifests.json': JSON.stringify(MANIFESTS) })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((it) => it.close()))
  await until('nobody is registered', async () => (await mesh.admin('/workers')).text.includes('"workers":[]'))
})
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const HELLO_CALL = { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' } }
const STREAM_CALL = { verb: 'stream', capability: 'text_events', payload: { content: 'hi' } }

async function startReal(definition: Parameters<typeof startRealWorker>[2]): Promise<void> {
  running.push(await startRealWorker(mesh, mesh.origin, definition))
}

/** The token that a worker gets with one call of `caller`, and the call's decision id. */
async function tokenOf(caller: string, settings: object = {}): Promise<{ token: string; decisionId: string }> {
  const fake = await startFakeWorker(mesh, greets)
  try {
    const { lease } = (await fake.register()).body as { lease: string }
    const answer = await mesh.route(caller, { ...HELLO_CALL, ...settings })
    expect(answer.status).toBe(200)
    await mesh.request(HELLO, postJson('/deregister', { worker_id: 'worker-hello-world', lease }))
    return {
      token: String(fake.seen[0]!.headers['x-crank-chain']),
      decisionId: String(answer.headers['x-decision-id']),
    }
  } finally {
    await fake.close()
  }
}

/** A call in both forms with this x-crank-chain. */
async function callsWith(caller: string, chain: string | string[]): Promise<Answer[]> {
  const headers = { 'x-crank-chain': chain } as Record<string, string>
  return [
    await mesh.route(caller, HELLO_CALL, headers),
    await mesh.request(caller, { ...postJson('/route/invoke/hello_world', { message: 'hi' }, headers) }),
  ]
}

async function refusals(answers: readonly Answer[]): Promise<AuditLine[]> {
  return Promise.all(
    answers.map(({ headers }) => mesh.auditedAs((line) => line['decision_id'] === headers['x-decision-id'])),
  )
}

async function expectRefused(answers: readonly Answer[], reason: string, error = 'request_invalid', status = 400) {
  for (const answer of answers) {
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({ error, reason: expect.stringContaining(reason) as unknown })
  }
  for (const line of await refusals(answers)) {
    expect(line).toMatchObject({
      event: 'request_refused',
      error,
      reason: expect.stringContaining(reason) as unknown,
    })
  }
}

test('a direct call is recorded with its caller as the origin, at depth 0', async () => {
  const { decisionId } = await tokenOf(CLIENT)
  const line = await mesh.auditedAs((it) => it.event === 'policy_decision' && it['decision_id'] === decisionId)
  expect(line).toMatchObject({ origin: idOf(CLIENT), depth: 0, on_behalf_of: null })
})

test('a worker that calls another one on behalf of a call continues its chain by itself', async () => {
  await startReal(createHelloWorld())
  await startReal(greeter)
  const answer = await mesh.route(CLIENT, STREAM_CALL)
  expect(answer.text).toContain('greeting')
  const inner = await mesh.auditedAs(
    (it) => it.event === 'policy_decision' && it['requester_spiffe_id'] === idOf(STREAMING),
  )
  expect(inner).toMatchObject({
    capability: 'invoke:hello_world',
    decision: 'allow',
    origin: idOf(CLIENT),
    depth: 1,
    on_behalf_of: answer.headers['x-decision-id'],
  })
})

test('a loop of calls ends with 508 at depth 8, and the log names its origin', async () => {
  const depths: string[] = []
  const looping = defineWorker({
    id: 'worker-hello-world',
    capabilities: [
      defineCapability({
        verb: 'invoke',
        name: 'hello_world',
        version: '1.0.0',
        requires: ['invoke:hello_world'],
        input: Type.Object({}, { additionalProperties: true }),
        output: Type.Object({ ended: Type.String() }),
        handler: async ({ invoke }) => {
          depths.push('called')
          try {
            return (await invoke('invoke:hello_world', {})) as { ended: string }
          } catch (error: unknown) {
            return { ended: error instanceof InvokeError ? `${error.status} ${error.code}` : String(error) }
          }
        },
      }),
    ],
  })
  await startReal(looping)
  const answer = await mesh.route(CLIENT, HELLO_CALL)
  expect(answer.body).toEqual({ ended: '508 loop_detected' })
  expect(depths).toHaveLength(8)
  const refused = await mesh.auditedAs((line) => line['error'] === 'loop_detected')
  expect(refused).toMatchObject({ event: 'request_refused', requester_spiffe_id: idOf(HELLO) })
  expect(refused['reason']).toContain(`the chain of calls that ${idOf(CLIENT)} began`)
})

test('the token of one identity is refused from another', async () => {
  const { token } = await tokenOf(CLIENT)
  await expectRefused(await callsWith(CLIENT, token), 'was handed to another identity')
})

test('a token is refused after the deadline of its call', async () => {
  const { token } = await tokenOf(CLIENT, { timeout_ms: 2000 })
  const deadlineMs = Number(token.split(';')[2])
  await until('the deadline has passed', () => Promise.resolve(Date.now() > deadlineMs))
  await expectRefused(await callsWith(HELLO, token), 'has expired')
})

test('a changed, unknown, malformed or repeated token is refused, whatever its sender', async () => {
  const { token } = await tokenOf(CLIENT)
  await expectRefused(await callsWith(HELLO, token.replace('v1;0;', 'v1;1;')), 'was not made by this mesh')
  await expectRefused(await callsWith(HELLO, token.replace('v1;', 'v2;')), 'has a version that')
  await expectRefused(await callsWith(HELLO, 'spiffe://crank.local/worker/client'), 'is malformed')
  await expectRefused(await callsWith(HELLO, ''), 'is malformed')
  await expectRefused(await callsWith(HELLO, [token, token]), 'was sent more than once')
})

test('a token of a call is good for the calls of its worker until then', async () => {
  const { token, decisionId } = await tokenOf(CLIENT)
  const [answer] = await callsWith(HELLO, token)
  expect(answer!.status).toBe(503) // the policy allows it; nobody provides it any more
  const line = await mesh.auditedAs((it) => it['on_behalf_of'] === decisionId)
  expect(line).toMatchObject({ origin: idOf(CLIENT), depth: 1, requester_spiffe_id: idOf(HELLO), decision: 'allow' })
})
