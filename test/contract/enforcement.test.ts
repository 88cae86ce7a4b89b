// The mode of a call is worked out twice: by the policy, and by the controller for when the policy is not to be had. Sidecar,
// wasm and TypeScript must say the same of any data that is in order; what is not in order is enforced.
import { request } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseCapability } from '../../src/core/capability.ts'
import type { Mode, PolicyEngine } from '../../src/core/decision.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { modeOf, parseEnforcement } from '../../src/policy/data/enforcement.ts'
import { createOpaHttp } from '../../src/policy/engine/opa-http.ts'
import { createOpaWasm } from '../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles, type PolicyFiles } from '../../src/policy/data/policy-files.ts'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import { createRandom, type Random } from '../fixtures/policy-corpus.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { policyInput } from '../fixtures/policy-input.ts'

const timeoutMs = 20_000
const PATHS = ['a', 'ab', 'a/b', 'a/b/c', 'a/bc', 'A', 'a.b', 'w/a', 'w/ab', 'w']
const DOMAINS = ['crank.local', 'crank.local.evil', 'crank']
const CALLERS = DOMAINS.flatMap((domain) => PATHS.map((path) => `spiffe://${domain}/${path}`))
const PREFIXES = [...CALLERS.map((caller) => `${caller}/`), ...DOMAINS.map((domain) => `spiffe://${domain}/`)]
const CAPABILITIES = ['a:b', 'a:bc', 'ab:c', 'convert:document_to_pdf']

let opa: OpaServer
let sidecar: PolicyEngine
let files: PolicyFiles
beforeAll(async () => {
  files = await loadPolicyFiles(POLICY_DIR, Date.now())
  opa = await startOpa({ policyDir: POLICY_DIR, open: true })
  sidecar = createOpaHttp({ target: opa.target, timeoutMs })
})
afterAll(() => sidecar.close().then(() => opa.stop()))

type Call = { readonly caller: string; readonly capability: string }

/** What both engines say, after it was seen that they say the same. */
async function modes(enforcement: unknown, calls: readonly Call[]): Promise<Mode[]> {
  const body = JSON.stringify(enforcement)
  const headers = { 'content-type': 'application/json' }
  const reply = await request(`${opa.url}/v1/data/enforcement`, { method: 'PUT', body, headers })
  await reply.body.dump()
  expect(reply.statusCode).toBe(204)
  const wasm = await createOpaWasm({ files: { ...files, dataText: `{"workers":{},"enforcement":${body}}` }, timeoutMs })
  const ask = (engine: PolicyEngine): Promise<Mode[]> =>
    Promise.all(
      calls.map(async ({ caller, capability }) => {
        return (await engine.decide('capability_access', policyInput(caller, capability))).mode
      }),
    )
  const [overHttp, inWasm] = await Promise.all([ask(sidecar), ask(wasm)])
  expect(inWasm).toEqual(overHttp)
  return inWasm
}

function generateEnforcement(random: Random): Record<string, unknown> {
  const mode = (): Mode => random.pick(['enforce', 'shadow'])
  const some = (names: readonly string[], percent: number): Record<string, Mode> =>
    Object.fromEntries(names.filter(() => random.chance(percent)).map((name) => [name, mode()]))
  return {
    ...(random.chance(85) ? { default: mode() } : {}),
    ...(random.chance(85) ? { callers: some([...CALLERS, ...PREFIXES], random.pick([3, 10, 40])) } : {}),
    ...(random.chance(70) ? { capabilities: some(CAPABILITIES, random.pick([20, 60])) } : {}),
  }
}

test.each([1, 2, 3, 4])(
  'sidecar, wasm and controller agree on 30 sets of data and every call: seed %i',
  async (seed) => {
    const random = createRandom(seed)
    const calls = CALLERS.flatMap((caller) =>
      [random.pick(CAPABILITIES), 'x:y'].map((capability) => ({ caller, capability })),
    )
    let shadowed = 0
    for (let set = 0; set < 30; set++) {
      const data = generateEnforcement(random)
      const own = parseEnforcement(data)
      const expected = calls.map(({ caller, capability }) => {
        return { caller, capability, mode: modeOf(own, parseSpiffeId(caller), parseCapability(capability)) }
      })
      const said = await modes(data, calls)
      expect(calls.map((call, at) => ({ ...call, mode: said[at] }))).toEqual(expected)
      shadowed += said.filter((mode) => mode === 'shadow').length
    }
    expect(shadowed).toBeGreaterThan(200)
    expect(shadowed).toBeLessThan(30 * calls.length - 200)
  },
)

const CALL = { caller: 'spiffe://crank.local/a/b', capability: 'a:b' }
test.each<[string, unknown]>([
  ['a list', ['shadow']],
  ['a text', 'shadow'],
  ['null', null],
  ['an unknown member', { default: 'shadow', override: true }],
  ['a default that is not a mode', { default: 'off', capabilities: { 'a:b': 'shadow' } }],
  ['a default that is null', { default: null, capabilities: { 'a:b': 'shadow' } }],
  ['callers that are a list', { default: 'shadow', callers: [CALL.caller] }],
  ['callers that are null', { default: 'shadow', callers: null }],
  ['capabilities that are a text', { default: 'shadow', capabilities: 'a:b' }],
  ['a caller with no mode', { default: 'shadow', callers: { [CALL.caller]: null } }],
  ['a prefix with an unknown mode', { default: 'shadow', callers: { 'spiffe://crank.local/a/': 'off' } }],
  ['a capability whose mode is a list', { default: 'shadow', capabilities: { 'a:b': ['shadow'] } }],
  ['a caller that is a pattern', { default: 'enforce', callers: { 'spiffe://crank.local/*': 'shadow' } }],
  ['a caller that is the scheme', { default: 'enforce', callers: { 'spiffe://': 'shadow' } }],
])('what the controller refuses to load, the policy enforces: %s', async (_what, data) => {
  expect(() => parseEnforcement(data)).toThrow('enforcement')
  expect(await modes(data, [CALL])).toEqual(['enforce'])
})
