// The controller's own block list refuses in the very words of the policy: whoever reads a reason need not know who gave it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blockReasons } from '../../src/policy/brake.ts'
import { createOpaHttp } from '../../src/policy/engine/opa-http.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../src/policy/data/policy-files.ts'
import type { PolicyEngine, PolicyInput, Question } from '../../src/core/decision.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { policyInput, registrationInput, STREAMING } from '../fixtures/policy-input.ts'

const timeoutMs = 20_000
const HELLO = 'spiffe://crank.local/worker/hello-world'
const STRANGER = 'spiffe://crank.local/worker/never-heard-of'
const many = Array.from({ length: 12 }, (_, at) => `many:thing_${String(at).padStart(2, '0')}`)
const BLOCKED = JSON.stringify({
  blocked: {
    identities: { [HELLO]: 'a test', [STRANGER]: null },
    capabilities: Object.fromEntries(['stream:text_events', ...many].map((name) => [name, 'a test'])),
  },
})

let policies: PolicyDir
let files: PolicyFiles
let opa: OpaServer
let engines: PolicyEngine[]
beforeAll(async () => {
  policies = await copyPolicies({ 'data/blocked.json': BLOCKED })
  files = await loadPolicyFiles(policies.dir, Date.now())
  opa = await startOpa({ policyDir: policies.dir })
  engines = [await createOpaWasm({ files, timeoutMs }), createOpaHttp({ target: opa.target, timeoutMs })]
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
  await opa.stop()
  await policies[Symbol.asyncDispose]()
})

const register = (who: string, ...capabilities: string[]) => registrationInput(who, 'worker-x', capabilities)
const CASES: Record<string, [Question, PolicyInput, codes: string[]]> = {
  'a call by a blocked identity': ['capability_access', policyInput(HELLO, 'invoke:hello_world'), ['identity_blocked']],
  'a call by a blocked stranger': ['capability_access', policyInput(STRANGER, 'a:b'), ['identity_blocked']],
  'a call of a blocked capability': [
    'capability_access',
    policyInput(STREAMING, 'stream:text_events'),
    ['capability_blocked'],
  ],
  'a call where both are blocked': [
    'capability_access',
    policyInput(HELLO, 'stream:text_events'),
    ['capability_blocked', 'identity_blocked'],
  ],
  'a registration by a blocked identity': ['worker_registration', register(HELLO, 'a:b'), ['identity_blocked']],
  'a registration of a blocked capability among others': [
    'worker_registration',
    register(STREAMING, 'a:b', 'stream:text_events', 'stream:text_events'),
    ['capability_blocked'],
  ],
  'a registration of twelve blocked capabilities, and the identity is blocked too': [
    'worker_registration',
    register(HELLO, ...many.toReversed()),
    ['capability_blocked', 'identity_blocked'],
  ],
}

describe.each(Object.entries(CASES))('%s', (_name, [question, input, codes]) => {
  test.each([0, 1])('is refused with the reasons that engine %i gives', async (at) => {
    const own = blockReasons(question, input, files.blocked)
    expect(own.map(({ code }) => code)).toEqual(codes)
    const { reasons } = await engines[at]!.decide(question, input)
    expect(own).toEqual(reasons)
  })
})

test('what is not blocked is left to the engines', () => {
  const free: [Question, PolicyInput][] = [
    ['capability_access', policyInput(STREAMING, 'invoke:hello_world')],
    ['worker_registration', register(STREAMING, 'a:b')],
    // The fixed pair of every registration is not a capability that anybody offers.
    ['worker_registration', { ...register(STREAMING, 'a:b'), action: { verb: 'stream', capability: 'text_events' } }],
  ]
  for (const [question, input] of free) expect(blockReasons(question, input, files.blocked)).toEqual([])
})
