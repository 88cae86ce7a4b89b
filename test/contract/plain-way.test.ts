// A decision goes a short way where nothing but the manifest concerns the call. On generated data, a real OPA compares it with
// the answer of all rules.
import { request } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startOpa, type OpaServer } from '../../scripts/lab/opa-server.ts'
import {
  createRandom,
  generateAsk,
  generateData,
  type Ask,
  type DataSet,
  type Random,
} from '../fixtures/policy-corpus.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'

const DATA_SETS = 50
const ASKS = 100

let opa: OpaServer
beforeAll(async () => {
  opa = await startOpa({ policyDir: POLICY_DIR, open: true })
})
afterAll(() => opa.stop())

const headers = { 'content-type': 'application/json' }

async function setData(data: DataSet): Promise<void> {
  for (const [name, value] of Object.entries(data)) {
    const body = JSON.stringify(value) as string | undefined
    const url = `${opa.url}/v1/data/${name}`
    const reply = await request(url, body === undefined ? { method: 'DELETE' } : { method: 'PUT', body, headers })
    await reply.body.dump()
    expect([204, 404]).toContain(reply.statusCode)
  }
}

const CALM: Omit<DataSet, 'workers'> = {
  exceptions: {},
  enforcement: { default: 'enforce', callers: {}, capabilities: {} },
  blocked: { identities: {}, capabilities: {} },
}

/** Generated data in which some files concern nobody: else hardly any call would be plain. */
function someCalm(random: Random): DataSet {
  const data = generateData(random)
  const files = Object.keys(CALM) as (keyof typeof CALM)[]
  return files.reduce((calm, name) => (random.chance(65) ? { ...calm, [name]: CALM[name] } : calm), data)
}

type Package = { readonly decision?: unknown; readonly whole_decision?: unknown; readonly is_plain?: boolean }

/** Every rule of the package, for one input. */
async function evaluate({ input }: Ask): Promise<Package> {
  const url = `${opa.url}/v1/data/crank/capability_access`
  const reply = await request(url, { method: 'POST', body: JSON.stringify({ input }), headers })
  return ((await reply.body.json()) as { result: Package }).result
}

test.each([11, 12, 13])('both ways give the same answer to 5,000 questions: seed %i', async (seed) => {
  const random = createRandom(seed)
  let plain = 0
  for (let dataSet = 0; dataSet < DATA_SETS; dataSet++) {
    const data = someCalm(random)
    await setData(data)
    const asks = Array.from({ length: ASKS }, () => generateAsk(random))
    const answers = await Promise.all(asks.map(async (ask) => ({ data, ask, ...(await evaluate(ask)) })))
    expect(answers.map(({ decision }) => decision)).toEqual(answers.map((answer) => answer.whole_decision))
    plain += answers.filter(({ is_plain: isPlain }) => isPlain === true).length
  }
  // Both ways were gone often enough to say something.
  expect(plain).toBeGreaterThan(150)
  expect(plain).toBeLessThan(4000)
})
