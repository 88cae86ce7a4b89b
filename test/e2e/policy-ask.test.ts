// Asking the policy instead of calling: the running controller, its files, and /route itself agree.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSource } from '../../src/cli/policy-ask/source.ts'
import { knownCapabilities, knownIdentities, type PolicySource } from '../../src/cli/policy-ask/knowledge.ts'
import { makeCapability } from '../../src/core/capability.ts'
import { formatInstant } from '../../src/core/instant.ts'
import type { AskAnswer } from '../../src/core/policy-ask.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'

const ID = 'spiffe://crank.local/worker'
const UNTIL_NS = BigInt(Math.trunc(Date.now() / 1000) + 86_400) * 1_000_000_000n + 123_456_789n

let policies: PolicyDir
let mesh: Mesh
let live: PolicySource
let files: PolicySource
beforeAll(async () => {
  const exception = `"expires_after": ${UNTIL_NS}, "reason": "r", "owner": "o", "created_at": "${formatInstant(UNTIL_NS - 86_400_123_456_789n)}"`
  policies = await copyPolicies({
    'data/exceptions.json': `{
      "${ID}/legacy": { "temporary_allow_all": true, ${exception} },
      "${ID}/hello-world": { "capabilities": ["convert:document_to_pdf"], ${exception} } }`,
    'data/enforcement.json':
      '{ "enforcement": { "default": "enforce", "capabilities": { "store:zettel": "shadow" } } }',
    'data/blocked.json': `{ "blocked": { "identities": { "${ID}/zettel-manager": "lost" }, "capabilities": {} } }`,
  })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  live = await openSource({ adminUrl: mesh.adminOrigin }, {})
  files = await openSource({ policy: policies.dir }, {})
}, 60_000)
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const ask = async (body: unknown, init: RequestInit = {}) => {
  const sent = typeof body === 'string' ? body : JSON.stringify(body)
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${mesh.adminOrigin}/policy/ask`, { method: 'POST', headers, body: sent, ...init })
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- looked into with matchers
  return { status: response.status, body: (await response.json()) as any }
}
const askAll = async (questions: readonly object[]) => (await ask({ questions })).body.answers as AskAnswer[]
const question = (who: string, verb: string, capability: string, at?: string) => {
  return { spiffe_id: `${ID}/${who}`, verb, capability, ...(at === undefined ? {} : { at }) }
}

describe('POST /policy/ask', () => {
  test('says yes, with ground, mode, revision and engine', async () => {
    const { status, body } = await ask(question('streaming', 'stream', 'text_events'))
    expect(status).toBe(200)
    expect(body).toEqual({
      spiffe_id: `${ID}/streaming`,
      capability: 'stream:text_events',
      at: expect.stringMatching(/^20.*Z$/),
      decision: 'allow',
      mode: 'enforce',
      ruling: 'allow',
      reasons: [],
      grounds: ['declared'],
      exception: null,
      policy_revision: (await live.knowledge()).revision,
      policy_version: '1.0.0',
      engine: 'opa-wasm',
      error: null,
    })
  })

  test('says no with the sentence that a call is refused with', async () => {
    const { body } = await ask(question('streaming', 'convert', 'document_to_pdf'))
    const call = await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
    expect(call.status).toBe(403)
    expect(body).toMatchObject({ decision: 'deny', ruling: 'deny', mode: 'enforce' })
    expect(body.reasons).toEqual([{ code: call.body.reason_code, message: call.body.reason }])
  })

  test('says that shadow mode lets a denied call pass, as it does', async () => {
    const { body } = await ask(question('streaming', 'store', 'zettel'))
    const call = await mesh.route(STREAMING, { verb: 'store', capability: 'zettel' })
    expect(body).toMatchObject({ decision: 'deny', mode: 'shadow', ruling: 'would_deny' })
    expect(call.body.error).toBe('no_worker_available')
  })

  test('says that a blocked identity is refused even in shadow mode', async () => {
    const { body } = await ask(question('zettel-manager', 'store', 'zettel'))
    expect(body).toMatchObject({ ruling: 'deny', mode: 'enforce', reasons: [{ code: 'identity_blocked' }] })
  })

  test('names the exception, and ends it to the nanosecond', async () => {
    const at = (ns: bigint) => question('hello-world', 'convert', 'document_to_pdf', formatInstant(ns))
    const answers = await askAll([at(UNTIL_NS - 1n), at(UNTIL_NS), at(UNTIL_NS + 1n)])
    const exception = `${ID}/hello-world#convert:document_to_pdf`
    expect(answers.map(({ ruling }) => ruling)).toEqual(['allow', 'deny', 'deny'])
    expect(answers[0]).toMatchObject({ grounds: ['exception'], exception })
    expect(answers[1]!.reasons.map(({ code }) => code)).toContain('exception_expired')
  })

  test('answers a thousand questions in their order, while calls go on', async () => {
    const questions = Array.from({ length: 1000 }, (_, n) => question(`w${n}`, 'stream', 'text_events'))
    const [answers, call] = await Promise.all([
      askAll(questions),
      mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' }),
    ])
    expect(answers.map(({ spiffe_id: id }) => id)).toEqual(questions.map(({ spiffe_id: id }) => id))
    expect(call.status).toBe(403)
  })

  test('leaves no audit record and no count of decisions', async () => {
    const counted = async () => (await mesh.admin('/metrics')).text.match(/^controller_policy_decisions_total.*$/gm)
    const before = [await mesh.audit(), await counted()]
    await ask(question('streaming', 'convert', 'document_to_pdf'))
    expect([await mesh.audit(), await counted()]).toEqual(before)
  })

  const nonsense: Readonly<Record<string, readonly [body: unknown, reason: RegExp]>> = {
    'a body that is not an object': ['[]', /^body must be object$/],
    'a body that is not JSON': ['{', /^the body is not valid JSON$/],
    'an empty question': ['{}', /^body must have required property 'spiffe_id'$/],
    'an unknown member': [
      { ...question('a', 'b', 'c'), now: 1 },
      /^body must NOT have additional properties \("now"\)$/,
    ],
    'a question and a batch': [
      { ...question('a', 'b', 'c'), questions: [question('a', 'b', 'c')] },
      /must NOT have additional properties/,
    ],
    'no question': [{ questions: [] }, /^body\.questions must NOT have fewer than 1 items$/],
    'more than a thousand': [
      { questions: Array.from({ length: 1001 }, () => question('a', 'b', 'c')) },
      /^body\.questions must NOT have more than 1000 items$/,
    ],
    'a number for a word': [{ ...question('a', 'b', 'c'), verb: 7 }, /^body\.verb must be string$/],
    'a name for a SPIFFE ID': [
      { ...question('a', 'b', 'c'), spiffe_id: 'streaming' },
      /^spiffe_id: scheme is not "spiffe" in lower case/,
    ],
    'a verb in upper case': [question('a', 'Stream', 'c'), /^capability: verb must be a lower-case word/],
    'a capability with a colon': [question('a', 'b', 'c:d'), /^capability: capability must be a lower-case word/],
    'a time that is none': [question('a', 'b', 'c', 'tomorrow'), /^at must be a time in UTC/],
    'a day that no month has': [question('a', 'b', 'c', '2026-02-30T00:00:00Z'), /^at must be a time in UTC/],
    'one bad question of two': [
      { questions: [question('a', 'b', 'c'), question('a', 'b', '')] },
      /^questions\[1\]\.capability: capability must be/,
    ],
  }
  for (const [what, [body, reason]] of Object.entries(nonsense)) {
    test(`refuses ${what}`, async () => {
      const answer = await ask(body)
      expect(answer.status).toBe(400)
      expect(answer.body).toEqual({ error: 'request_invalid', reason: expect.stringMatching(reason) })
    })
  }

  test('refuses a body that is too large, and one of another type', async () => {
    expect(await ask(`"${'x'.repeat(4 * 1024 * 1024)}"`)).toMatchObject({
      status: 413,
      body: { error: 'payload_too_large' },
    })
    expect(await ask('x=1', { headers: { 'content-type': 'application/x-www-form-urlencoded' } })).toMatchObject({
      status: 415,
      body: { error: 'unsupported_media_type' },
    })
  })
})

test('GET /policy/data gives the data in force, no digit lost', async () => {
  const { status, text } = await mesh.admin('/policy/data')
  expect(status).toBe(200)
  expect(text).toContain(String(UNTIL_NS))
  expect(JSON.parse(text)).toMatchObject({ policy_dir: policies.dir, data: { workers: {}, blocked: {} } })
})

test('controller and files give the same answer to every question that the data suggests', async () => {
  const known = await live.knowledge()
  expect(await files.knowledge()).toEqual(known)
  const who = [...knownIdentities(known), parseSpiffeId('spiffe://other.org/worker/streaming')]
  const what = [...knownCapabilities(known), makeCapability('sing', 'aria')]
  const times = [UNTIL_NS - 1n, UNTIL_NS, 0n]
  const questions = who.flatMap((spiffeId) =>
    what.flatMap((capability) => times.map((atNs) => ({ spiffeId, capability, atNs }))),
  )
  const answers = await live.ask(questions)
  expect(answers).toEqual(await files.ask(questions))
  expect(new Set(answers.map(({ ruling }) => ruling))).toEqual(new Set(['allow', 'deny', 'would_deny']))
  expect(answers.length).toBeGreaterThan(500)
})
