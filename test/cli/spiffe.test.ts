// `crank spiffe fetch` and `crank check` on a Workload API; and a caller that gets its certificate from one.
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkCertificates } from '../../src/cli/checks/certificates.ts'
import { parseTrustDomain } from '../../src/core/spiffe-id.ts'
import { createTestCa } from '../fixtures/pki/ca.ts'
import { crlOf } from '../fixtures/pki/crl.ts'
import { startFakeWorkloadApi, type FakeWorkloadApi, type Served } from '../fixtures/workload-api/fake-workload-api.ts'
import { responseFor, svidOf } from '../fixtures/workload-api/svids.ts'
import { crank } from './in-process.ts'

const CONTROLLER = 'spiffe://crank.local/controller'
const WORKER = 'spiffe://crank.local/worker/streaming'
const MINUTE_MS = 60_000
const ca = await createTestCa('crank.local')

async function apiWith(served: Served): Promise<FakeWorkloadApi> {
  const api = await startFakeWorkloadApi({ served })
  onTestFinished(() => api[Symbol.asyncDispose]())
  return api
}

describe('crank spiffe fetch', () => {
  const served = async (): Promise<Served> => ({
    svids: [
      await svidOf(ca, CONTROLLER, { notAfterMs: Date.now() + 42.5 * MINUTE_MS }),
      await svidOf(ca, WORKER, {}, { hint: 'internal' }),
    ],
    federated_bundles: { 'spiffe://td2.test': (await createTestCa('td2.test')).certDer },
    crl: [await crlOf(ca, [])],
  })

  test('prints SVIDs, bundles and lists, as a table and as JSON, and no key', async () => {
    const { endpoint } = await apiWith(await served())
    const table = await crank(['spiffe', 'fetch'], { env: { SPIFFE_ENDPOINT_SOCKET: endpoint } })
    expect(table).toMatchObject({ code: 0, stderr: '' })
    const [title, first, second, ...rest] = table.stdout.trimEnd().split('\n')
    expect(title).toMatch(/^SPIFFE ID +HINT +LEFT$/)
    expect(first).toMatch(/^spiffe:\/\/crank\.local\/controller +- +42 min$/)
    expect(second).toMatch(/^spiffe:\/\/crank\.local\/worker\/streaming +internal +24\.0 hours$/)
    expect(rest).toEqual([
      expect.stringMatching(/^bundle of crank\.local: 1 CA, until 20\d\d-/),
      expect.stringMatching(/^bundle of td2\.test: 1 CA, until 20\d\d-/),
      'revocation lists: 1',
    ])
    const json = await crank(['spiffe', 'fetch', '--endpoint', endpoint, '-o', 'json'])
    expect(JSON.parse(json.stdout)).toMatchObject({
      endpoint,
      svids: [
        { spiffe_id: CONTROLLER, hint: null, faults: [] },
        { spiffe_id: WORKER, hint: 'internal', faults: [] },
      ],
      bundles: [{ trust_domain: 'crank.local' }, { trust_domain: 'td2.test' }],
      revocation_lists: 1,
    })
    expect(table.stdout + json.stdout).not.toMatch(/PRIVATE|CERTIFICATE/)
  })

  test('says which SVID cannot be used, and why, and answers no', async () => {
    const { endpoint } = await apiWith({
      svids: [await svidOf(ca, CONTROLLER, { ca: true }), await svidOf(ca, WORKER)],
    })
    const { code, stdout } = await crank(['spiffe', 'fetch', '--endpoint', endpoint])
    expect(code).toBe(1)
    expect(stdout).toContain(`the SVID ${CONTROLLER}: not an X.509-SVID: the certificate is a CA (X509-SVID 4.1)`)
  })

  test('says that an agent gives nothing, and what to do', async () => {
    const api = await apiWith({})
    api.fail('PERMISSION_DENIED')
    const { code, stderr } = await crank(['spiffe', 'fetch', '--endpoint', api.endpoint])
    expect(code).toBe(3)
    expect(stderr).toContain('register an entry that fits it')
  })

  test.each([
    [[], {}, 'SPIFFE_ENDPOINT_SOCKET is not set; set it, or pass --endpoint'],
    [['--endpoint', '/x'], {}, '--endpoint="/x": must be unix:///path'],
    [[], { SPIFFE_ENDPOINT_SOCKET: 'tcp://x' }, 'SPIFFE_ENDPOINT_SOCKET="tcp://x": must be unix:///path'],
  ])('refuses %j with %j', async (args, env, sentence) => {
    const { code, stderr } = await crank(['spiffe', 'fetch', ...args], { env })
    expect(code).toBe(2)
    expect(stderr).toContain(sentence)
  })
})

describe('crank check', () => {
  const state = { stateDir: '/nowhere', trustDomain: parseTrustDomain('crank.local') }
  const check = (env: NodeJS.ProcessEnv) => checkCertificates(state, env, Date.now)

  test('says where the identity comes from, and what time is left', async () => {
    const { endpoint } = await apiWith(await responseFor(ca, CONTROLLER, { notAfterMs: Date.now() + 42.5 * MINUTE_MS }))
    const { findings, controller } = await check({ SPIFFE_ENDPOINT_SOCKET: endpoint })
    expect(findings).toEqual([
      { name: 'certificate', status: 'ok', message: `SPIFFE_ENDPOINT_SOCKET ${endpoint}: ${CONTROLLER}, 42 min left` },
    ])
    expect(controller?.spiffeId).toBe(CONTROLLER)
  })

  test('takes the SVID that CRANK_SVID names', async () => {
    const { endpoint } = await apiWith({ svids: [await svidOf(ca, CONTROLLER), await svidOf(ca, WORKER)] })
    const { findings, controller } = await check({ SPIFFE_ENDPOINT_SOCKET: endpoint, CRANK_SVID: WORKER })
    expect(findings[0]?.message).toContain(WORKER)
    expect(controller).toBeUndefined()
  })

  test('warns of an SVID that the agent should have renewed', async () => {
    const times = { notBeforeMs: Date.now() - 50 * MINUTE_MS, notAfterMs: Date.now() + 10.5 * MINUTE_MS }
    const { endpoint } = await apiWith(await responseFor(ca, CONTROLLER, times))
    const { findings } = await check({ SPIFFE_ENDPOINT_SOCKET: endpoint })
    expect(findings).toMatchObject([
      {
        status: 'warn',
        message: expect.stringContaining('10 min left') as string,
        hint: expect.stringContaining('the log of the agent') as string,
      },
    ])
  })

  test.each([
    ['unix:///nowhere/agent.sock', {}, 'UNAVAILABLE'],
    ['agent.sock', {}, 'must be unix:///path'],
    ['unix:///nowhere/agent.sock', { CRANK_TLS_CERT: 'a.crt' }, 'is set together with CRANK_TLS_CERT'],
  ])('fails with %s and %j', async (SPIFFE_ENDPOINT_SOCKET, env, words) => {
    const { findings } = await check({ SPIFFE_ENDPOINT_SOCKET, ...env })
    expect(findings).toMatchObject([
      {
        name: 'certificate',
        status: 'fail',
        message: expect.stringContaining(words) as string,
        hint: expect.any(String) as string,
      },
    ])
  })
})

test('a caller whose Workload API is away is told so', async () => {
  const env = { SPIFFE_ENDPOINT_SOCKET: 'unix:///nowhere/agent.sock' }
  const { code, stderr } = await crank(['workers'], { env })
  expect(code).toBe(2)
  expect(stderr).toContain('the Workload API at unix:///nowhere/agent.sock: UNAVAILABLE')
  expect(stderr).toContain('crank spiffe fetch')
})
