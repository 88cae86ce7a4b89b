// The tests of arndt-s/spiffe-conformance-test-suite for Workload API clients (docs/TEST_CATALOGUE.md there), by their names:
// groups EP, WA, XS, XF and HX, against the exported X.509 source. No test sleeps to show that nothing happened: after a bad
// response comes a good one, the barrier, on the same ordered stream.
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { X509SourceOptions } from '../../../src/spiffe/index.ts'
import { createTestCa, type IssueOptions, type TestCa } from '../../fixtures/pki/ca.ts'
import { until } from '../../fixtures/until.ts'
import {
  startFakeWorkloadApi,
  type FakeWorkloadApi,
  type Served,
  type SvidFields,
} from '../../fixtures/workload-api/fake-workload-api.ts'
import { probe, startHarness, type Harness } from '../../fixtures/workload-api/harness.ts'
import { keyDerOf, responseFor, svidFields, svidOf } from '../../fixtures/workload-api/svids.ts'

const TD = 'test.example.org'
const [A, B, CLIENT] = [`spiffe://${TD}/a`, `spiffe://${TD}/b`, `spiffe://${TD}/client`]
const ca = await createTestCa(TD)
const client = await ca.issue({ uri: CLIENT })

async function startApi(options: Parameters<typeof startFakeWorkloadApi>[0] = {}): Promise<FakeWorkloadApi> {
  const api = await startFakeWorkloadApi(options)
  onTestFinished(() => api[Symbol.asyncDispose]())
  return api
}

async function start(options: X509SourceOptions): Promise<Harness> {
  const harness = await startHarness(options)
  onTestFinished(() => harness[Symbol.asyncDispose]())
  return harness
}

/** A server that serves A, and the program that shows it: the positive control of every test. */
async function servingA(first?: Served): Promise<{ api: FakeWorkloadApi; harness: Harness }> {
  const api = await startApi({ served: first ?? (await responseFor(ca, A)) })
  const harness = await start({ endpoint: api.endpoint })
  expect(await shownBy(harness)).toBe(A)
  return { api, harness }
}

async function shownBy(harness: Harness): Promise<string | undefined> {
  const { shown, line } = await probe(harness, client)
  expect(line).toBe(CLIENT)
  return shown[0]?.subjectAltName?.match(/URI:([^,]+)/)?.[1]
}

async function isShown(harness: Harness, id: string): Promise<void> {
  await until(`${id} is shown`, async () => (await shownBy(harness)) === id)
}

const lineFor = async (harness: Harness, from: TestCa, options: IssueOptions): Promise<string | undefined> =>
  (await probe(harness, await from.issue(options))).line

describe('EP: the endpoint', () => {
  test('EP-1: is found by SPIFFE_ENDPOINT_SOCKET', async () => {
    const api = await startApi({ served: await responseFor(ca, A) })
    vi.stubEnv('SPIFFE_ENDPOINT_SOCKET', api.endpoint)
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await shownBy(await start({}))).toBe(A)
  })

  test('EP-1: neither set nor passed is an error that says so', async () => {
    vi.stubEnv('SPIFFE_ENDPOINT_SOCKET', undefined)
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(start({})).rejects.toThrow('SPIFFE_ENDPOINT_SOCKET is not set')
  })

  test('EP-2: every call carries the security header, after an error too', async () => {
    const api = await startApi({ served: await responseFor(ca, A) })
    api.fail('UNAVAILABLE', 1)
    await start({ endpoint: api.endpoint })
    expect(api.calls.map(({ header, request }) => [...header, request])).toEqual([
      ['true', '{}'],
      ['true', '{}'],
    ])
  })

  test('EP-3: may be tcp', async () => {
    const api = await startApi({ served: await responseFor(ca, A), tcp: true })
    expect(api.endpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/)
    expect(await shownBy(await start({ endpoint: api.endpoint }))).toBe(A)
  })

  test('EP-4: with an authority, or a path after tcp, is refused and not called', async () => {
    const api = await startApi({ served: await responseFor(ca, A) })
    const tcp = await startApi({ served: await responseFor(ca, A), tcp: true })
    for (const endpoint of [api.endpoint.replace('unix://', 'unix://host'), `${tcp.endpoint}/api`]) {
      await expect(start({ endpoint })).rejects.toThrow('must be unix:///path')
    }
    expect([...api.calls, ...tcp.calls]).toEqual([])
  })

  test.each(['UNAVAILABLE', 'PERMISSION_DENIED'] as const)(
    'EP-5, EP-6: %s is tried again, with a backoff',
    async (code) => {
      const api = await startApi({ served: await responseFor(ca, A) })
      api.fail(code, 3)
      expect(await shownBy(await start({ endpoint: api.endpoint }))).toBe(A)
      expect(api.calls).toHaveLength(4)
      // 1 + 2 + 4 s; keep-streaming.test.ts has the exact times.
      expect(api.calls[3]!.atMs - api.calls[0]!.atMs).toBeGreaterThan(5000)
    },
  )

  test.each(['INVALID_ARGUMENT', 'UNIMPLEMENTED'] as const)('EP-7: %s is not tried again', async (code) => {
    const api = await startApi()
    api.fail(code)
    await expect(start({ endpoint: api.endpoint })).rejects.toThrow(`${code}: told to say ${code}`)
    expect(api.calls).toHaveLength(1)
  })

  test('EP-8: is waited for when it is not there yet', async () => {
    const api = await startApi({ served: await responseFor(ca, A) })
    api.stop()
    const faults: string[] = []
    const nothing = (): void => undefined
    const warn = (fields: object): void => void faults.push(JSON.stringify(fields))
    const starting = start({ endpoint: api.endpoint, log: { info: nothing, warn, error: nothing } })
    await until('the first dial has failed', () => faults.some((text) => text.includes('UNAVAILABLE')))
    await api.restart()
    expect(await shownBy(await starting)).toBe(A)
  })
})

describe('WA: the client', () => {
  test('WA-1: opens the stream again after the server ended it', async () => {
    const { api, harness } = await servingA()
    api.serve(await responseFor(ca, A))
    const served = await responseFor(ca, B)
    api.endStreams('UNAVAILABLE')
    api.serve(served)
    await isShown(harness, B)
    expect(api.calls).toHaveLength(2)
  })

  test.each([
    ['svids', undefined],
    ['spiffe_id', { spiffe_id: '' }],
    ['x509_svid', { x509_svid: Buffer.alloc(0) }],
    ['x509_svid_key', { x509_svid_key: Buffer.alloc(0) }],
    ['bundle', { bundle: Buffer.alloc(0) }],
  ] satisfies [string, SvidFields | undefined][])('WA-2: discards a response with an empty %s', async (_, fields) => {
    const { api, harness } = await servingA()
    const seen: string[] = []
    harness.source.on('update', ({ spiffeId }) => seen.push(spiffeId))
    const faults: string[] = []
    harness.source.on('fault', ({ message }) => faults.push(message))
    api.serve(fields === undefined ? { svids: [] } : { svids: [await svidOf(ca, `${A}-bad`, {}, fields)] })
    await until('the fault is told', () => faults.length === 1)
    expect(await shownBy(harness)).toBe(A)
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
    expect(seen).toEqual([B])
  })

  test('WA-3: the first SVID is the default identity', async () => {
    const [a, b] = [await svidOf(ca, A), await svidOf(ca, B)]
    const { api, harness } = await servingA({ svids: [a, b] })
    api.serve({ svids: [b, a] })
    await isShown(harness, B)
  })

  // A SHOULD that we do not follow (ADR 0077): an agent says PermissionDenied for a moment too, when it restarts or cannot
  // attest; peers would trust the SVID until it expires anyway.
  test('WA-4, otherwise: after PermissionDenied the SVID stays in use, and a fault says that it is withdrawn', async () => {
    const { api, harness } = await servingA()
    const faults: string[] = []
    harness.source.on('fault', ({ message }) => faults.push(message))
    api.fail('PERMISSION_DENIED')
    await until('the fault is told', () => faults.length > 0)
    expect(faults[0]).toContain('the agent has no identity for this process: register an entry that fits it')
    expect(await shownBy(harness)).toBe(A)
  })
})

describe('XS: the SVID', () => {
  test('XS-1, XS-3: that was received is shown, and a rotated one to new connections', async () => {
    const { api, harness } = await servingA()
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
  })

  test('XS-2: is shown with its intermediates, leaf first', async () => {
    const middle = await ca.intermediate()
    const lower = await middle.intermediate()
    const issued = await lower.issue({ uri: A })
    const api = await startApi({ served: { svids: [svidFields(A, issued, ca)] } })
    const { shown } = await probe(await start({ endpoint: api.endpoint }), client)
    const fingerprints = [issued, lower, middle].map(({ certDer }) => certDer.toString('base64'))
    expect(shown.map(({ raw }) => raw.toString('base64'))).toEqual(fingerprints)
  })

  test('XS-4, XS-5: each CA of a bundle is trusted, until it is removed', async () => {
    const second = await createTestCa(TD)
    const both = Buffer.concat([ca.certDer, second.certDer])
    const { api, harness } = await servingA({ svids: [await svidOf(ca, A, {}, { bundle: both })] })
    expect(await lineFor(harness, second, { uri: CLIENT })).toBe(CLIENT)
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
    expect(await lineFor(harness, second, { uri: CLIENT })).toBeUndefined()
  })
})

describe('XF: federation', () => {
  const FED = 'fed.example.org'
  const PEER = `spiffe://${FED}/peer`

  test('XF-1, XF-2, XF-3: a federated domain is trusted for its own names, and until a response leaves it out', async () => {
    const fed = await createTestCa(FED)
    const { api, harness } = await servingA({
      ...(await responseFor(ca, A)),
      federated_bundles: { [`spiffe://${FED}`]: fed.certDer },
    })
    expect(await lineFor(harness, fed, { uri: PEER })).toBe(PEER)
    expect(await lineFor(harness, ca, { uri: PEER })).toBeUndefined()
    expect(await lineFor(harness, fed, { uri: CLIENT })).toBeUndefined()
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
    expect(await lineFor(harness, fed, { uri: PEER })).toBeUndefined()
  })
})

const HX: Readonly<Record<string, (id: string) => Promise<SvidFields>>> = {
  'HX-1: whose signature is invalid': async (id) => {
    const fields = await svidOf(ca, id)
    const broken = Buffer.from(fields.x509_svid!)
    broken[broken.length - 1]! ^= 1
    return { ...fields, x509_svid: broken }
  },
  'HX-2: that does not chain to its bundle': async (id) =>
    svidOf(await createTestCa(TD), id, {}, { bundle: ca.certDer }),
  'HX-3: that has expired': (id) =>
    svidOf(ca, id, { notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }),
  'HX-4: that is a CA': (id) => svidOf(ca, id, { ca: true }),
  'HX-5: that may sign certificates': (id) => svidOf(ca, id, { keyUsage: ['digitalSignature', 'keyCertSign'] }),
  'HX-6: with two URI SANs': (id) => svidOf(ca, id, { san: [{ uri: id }, { uri: `${id}-2` }] }),
  'HX-7: with a URI that is no SPIFFE ID': (id) => svidOf(ca, id, { uri: `https://${TD}/hx-7` }),
  'HX-8: whose key is another one': async (id) => ({
    ...(await svidOf(ca, id)),
    x509_svid_key: keyDerOf(await createTestCa(TD)),
  }),
  'HX-9: of another SPIFFE ID than the message says': async (id) => svidOf(ca, id, {}, { spiffe_id: `${id}-claimed` }),
  'garbage in place of the certificate': (id) => svidOf(ca, id, {}, { x509_svid: Buffer.from('garbage') }),
  'garbage in place of the bundle': (id) => svidOf(ca, id, {}, { bundle: Buffer.from('garbage') }),
  'garbage in place of the key': (id) => svidOf(ca, id, {}, { x509_svid_key: Buffer.from('garbage') }),
  'with a leaf in its bundle': async (id) => svidOf(ca, id, {}, { bundle: (await ca.issue({ uri: B })).certDer }),
  'that is not valid yet': (id) =>
    svidOf(ca, id, { notBeforeMs: Date.now() + 3_600_000, notAfterMs: Date.now() + 7_200_000 }),
  'without a path in its SPIFFE ID': () => svidOf(ca, `spiffe://${TD}`),
}

describe('HX: an SVID that is not used, while the last good one stays', () => {
  test.each(Object.entries(HX))('%s', async (_, bad) => {
    const { api, harness } = await servingA()
    const seen: string[] = []
    harness.source.on('update', ({ spiffeId }) => seen.push(spiffeId))
    const faults: string[] = []
    harness.source.on('fault', ({ message }) => faults.push(message))
    api.serve({ svids: [await bad(`${A}-bad`)] })
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain(api.endpoint)
    expect(await shownBy(harness)).toBe(A)
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
    expect(seen).toEqual([B])
  })

  test('and bytes that are no response', async () => {
    const { api, harness } = await servingA()
    const faults: string[] = []
    harness.source.on('fault', ({ message }) => faults.push(message))
    api.serve(Buffer.from('ffffff', 'hex'))
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain('the response cannot be decoded')
    api.serve(await responseFor(ca, B))
    await isShown(harness, B)
  })
})
