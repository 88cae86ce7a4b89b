// The X.509 source of a process over a real gRPC socket: which SVID it takes, what it keeps, and what it says of faults.
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { parseWorkloadEndpoint } from '../../../src/platform/spiffe/endpoint.ts'
import { parseSvidChoice } from '../../../src/platform/spiffe/svid-choice.ts'
import { watchWorkloadApi } from '../../../src/platform/spiffe/workload-source.ts'
import type { CredentialSource } from '../../../src/platform/tls/credentials.ts'
import { createTestCa, type TestCa } from '../../fixtures/pki/ca.ts'
import { crlOf } from '../../fixtures/pki/crl.ts'
import { until } from '../../fixtures/until.ts'
import {
  startFakeWorkloadApi,
  type FakeWorkloadApi,
  type Served,
} from '../../fixtures/workload-api/fake-workload-api.ts'
import { probe, startHarness } from '../../fixtures/workload-api/harness.ts'
import { responseFor, svidFields, svidOf } from '../../fixtures/workload-api/svids.ts'

const ID = 'spiffe://td1.test/worker/a'
const OTHER = 'spiffe://td1.test/worker/b'
const PACE = { leastMs: 20, firstMs: 20, mostMs: 100 }
const ca: TestCa = await createTestCa('td1.test')

type Line = { readonly level: string; readonly event?: string; readonly reason?: string }
type Opened = { api: FakeWorkloadApi; source: CredentialSource; lines: Line[]; faults: string[] }
type Extra = Partial<Parameters<typeof watchWorkloadApi>[1]>

async function apiWith(served?: Served): Promise<FakeWorkloadApi> {
  const api = await startFakeWorkloadApi(served === undefined ? {} : { served })
  onTestFinished(() => api[Symbol.asyncDispose]())
  return api
}

function open(api: FakeWorkloadApi, lines: Line[], extra: Extra = {}): Promise<CredentialSource> {
  const at = (level: string) => (fields: object) => void lines.push({ level, ...fields })
  return watchWorkloadApi(parseWorkloadEndpoint(api.endpoint), {
    now: Date.now,
    log: { info: at('info'), warn: at('warn'), error: at('error') },
    trustDomain: parseTrustDomain('td1.test'),
    keepsIdentity: true,
    pace: PACE,
    ...extra,
  })
}

async function opened(served: Served, extra: Extra = {}): Promise<Opened> {
  const api = await apiWith(served)
  const lines: Line[] = []
  const source = await open(api, lines, extra)
  onTestFinished(source.close)
  const faults: string[] = []
  source.onFault(({ message }) => faults.push(message))
  return { api, source, lines, faults }
}

const eventsOf = (lines: readonly Line[]): (string | undefined)[] => lines.map(({ event }) => event)

describe('the SVID', () => {
  test('is replaced as one by the next message; closed, the source leaves the stream', async () => {
    const { api, source } = await opened(await responseFor(ca, ID))
    const first = source.current()
    expect(first).toMatchObject({ spiffeId: ID, generation: 1 })
    expect([...first.bundles.keys()]).toEqual(['td1.test'])
    api.serve(await responseFor(ca, ID))
    await until('it is replaced', () => source.current().generation === 2)
    expect(source.current().certPem).not.toBe(first.certPem)
    source.close()
    await until('the stream has ended', () => api.open() === 0)
    expect(api.calls).toMatchObject([{ header: ['true'] }])
  })

  test('that comes again is no change', async () => {
    const served = await responseFor(ca, ID)
    const { api, source } = await opened(served)
    api.serve(served)
    api.serve(await responseFor(ca, ID))
    await until('the next one is there', () => source.current().generation > 1)
    expect(source.current().generation).toBe(2)
  })

  test.each([
    ['the first', undefined, ID],
    ['the one of that SPIFFE ID', OTHER, OTHER],
    ['the first with that hint', 'internal', OTHER],
  ])('is %s', async (_, choice, expected) => {
    const served = {
      svids: [
        await svidOf(ca, ID, {}, { hint: 'external' }),
        await svidOf(ca, OTHER, {}, { hint: 'internal' }),
        await svidOf(ca, `${OTHER}2`, {}, { hint: 'internal' }),
      ],
    }
    const { source } = await opened(served, choice === undefined ? {} : { choice: parseSvidChoice(choice) })
    expect(source.current().spiffeId).toBe(expected)
  })

  test('that was chosen is waited for; what there is, is said', async () => {
    const api = await apiWith(await responseFor(ca, ID))
    const lines: Line[] = []
    const opening = open(api, lines, { choice: parseSvidChoice(OTHER) })
    await until('the wait is told', () => lines.length > 0)
    expect(lines[0]).toMatchObject({
      event: 'workload_api_waiting',
      reason: `the Workload API at ${api.endpoint}: no SVID with ${OTHER}, only ${ID}; register an entry for it, or choose another`,
    })
    api.serve({ svids: [await svidOf(ca, ID), await svidOf(ca, OTHER)] })
    const source = await opening
    onTestFinished(source.close)
    expect(source.current().spiffeId).toBe(OTHER)
  })

  test('of another trust domain ends the start: no later one can be right', async () => {
    const api = await apiWith(await responseFor(ca, ID))
    await expect(open(api, [], { trustDomain: parseTrustDomain('crank.local') })).rejects.toThrow(
      `the SVID is ${ID}, but the trust domain is crank.local; set CRANK_TRUST_DOMAIN=td1.test, or CRANK_SVID to another SVID`,
    )
    await until('the stream has ended', () => api.open() === 0)
  })

  test('of another identity is a fault in a process that runs', async () => {
    const { api, source, faults } = await opened(await responseFor(ca, ID))
    api.serve(await responseFor(ca, OTHER))
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain(`gives ${OTHER}, but this process is ${ID}; name the SVID with CRANK_SVID`)
    expect(source.fault()).toBe(faults[0])
    api.serve(await responseFor(ca, ID))
    await until('it is replaced', () => source.current().generation === 2)
    expect([source.current().spiffeId, source.fault()]).toEqual([ID, undefined])
  })
})

describe('while the Workload API is away', () => {
  test('the last good SVID stays, past its expiry too; the reason is told once, and its end', async () => {
    const { api, source, lines, faults } = await opened(await responseFor(ca, ID, { notAfterMs: Date.now() + 1500 }))
    const first = source.current()
    api.stop()
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain('UNAVAILABLE')
    expect(faults[0]).toContain('start the SPIFFE agent, and let this process open its socket')
    await until('it has expired', () => Date.now() > first.notAfterMs)
    expect(source.current()).toBe(first)
    api.serve(await responseFor(ca, ID))
    await api.restart()
    await until('it is replaced', () => source.current().generation === 2)
    expect(source.fault()).toBeUndefined()
    expect(faults).toHaveLength(1)
    expect(eventsOf(lines)).toEqual([
      ...['workload_api_stream_ended', 'credentials_broken', 'workload_api_recovered', 'credentials_changed'],
    ])
  })

  test('PermissionDenied is a fault at once: the identity is withdrawn', async () => {
    const { api, source, faults } = await opened(await responseFor(ca, ID))
    api.fail('PERMISSION_DENIED')
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain('PERMISSION_DENIED')
    expect(source.current().generation).toBe(1)
  })

  test('the end of a stream is none: it is opened again', async () => {
    const { api, source, lines, faults } = await opened(await responseFor(ca, ID))
    for (const times of [2, 3]) {
      api.endStreams()
      await until('it is open again', () => api.calls.length === times && api.open() === 1)
    }
    expect([faults, source.fault()]).toEqual([[], undefined])
    expect(eventsOf(lines)).toEqual(['workload_api_stream_ended', 'workload_api_stream_ended'])
  })

  test('a code that is not tried again says that a restart is needed', async () => {
    const { api, source, faults } = await opened(await responseFor(ca, ID))
    api.fail('UNIMPLEMENTED')
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain('correct the endpoint, and restart this process')
    expect([source.current().generation, api.calls.length]).toEqual([1, 1])
  })

  test('a start ends with the last fault when it is told to', async () => {
    const api = await apiWith()
    api.fail('PERMISSION_DENIED')
    const lines: Line[] = []
    const stop = new AbortController()
    const opening = open(api, lines, { signal: stop.signal })
    await until('the wait is told', () => lines.length > 0)
    stop.abort()
    await expect(opening).rejects.toThrow('register an entry that fits it')
    const silent = await apiWith()
    await expect(open(silent, [], { signal: AbortSignal.abort() })).rejects.toThrow('no answer in time')
    await until('the streams have ended', () => api.open() + silent.open() === 0)
  })
})

describe('bundles of other trust domains', () => {
  const fed = createTestCa('td2.test')

  test('are taken with the SVID, and go when a response leaves them out', async () => {
    const federated_bundles = { 'spiffe://td2.test': (await fed).certDer }
    const { api, source } = await opened({ ...(await responseFor(ca, ID)), federated_bundles })
    expect([...source.current().bundles.keys()]).toEqual(['td1.test', 'td2.test'])
    const changes: number[] = []
    source.onChange(({ bundles }) => changes.push(bundles.size))
    api.serve(await responseFor(ca, ID))
    await until('there is one bundle', () => source.current().bundles.size === 1)
    api.serve({ ...(await responseFor(ca, ID)), federated_bundles })
    await until('there are two again', () => source.current().bundles.size === 2)
    expect(changes).toEqual([1, 2])
  })

  test.each([
    ['spiffe://td2.test', () => Buffer.from('garbage'), 'is not a sequence of certificates in DER'],
    ['spiffe://td2.test', () => Buffer.alloc(0), 'contains no certificate'],
    ['spiffe://TD2.test', async () => (await fed).certDer, 'trust domain may hold only'],
    ['spiffe://td1.test', async () => (await fed).certDer, 'is our own trust domain'],
  ])('that cannot be used are left out and named, and our own SVID is renewed: %s', async (key, der, reason) => {
    const { api, source, lines } = await opened(await responseFor(ca, ID))
    api.serve({ ...(await responseFor(ca, ID)), federated_bundles: { [key]: await der() } })
    await until('it is renewed', () => source.current().generation === 2)
    expect([...source.current().bundles].map(([domain, anchors]) => [domain, anchors.length])).toEqual([
      ['td1.test', 1],
    ])
    expect(source.current().bundles.get(parseTrustDomain('td1.test'))?.[0]?.raw).toEqual(ca.certDer)
    const refused = lines.filter(({ event }) => event === 'federated_bundle_refused')
    expect(refused).toMatchObject([{ level: 'warn', reason: expect.stringContaining(reason) as string }])
  })
})

describe('revocation lists', () => {
  test('refuse a certificate on new connections, end open ones, and refuse all below a revoked intermediate', async () => {
    const middle = await ca.intermediate()
    const [client, below] = [await ca.issue({ uri: OTHER }), await middle.issue({ uri: OTHER })]
    const api = await apiWith(await responseFor(ca, ID))
    await using harness = await startHarness({ endpoint: api.endpoint })
    expect((await probe(harness, client)).line).toBe(OTHER)
    expect((await probe(harness, below)).line).toBe(OTHER)
    const updates: unknown[] = []
    harness.source.on('update', (next) => updates.push(next))

    api.serve({ ...(await responseFor(ca, ID)), crl: [await crlOf(ca, [client])] })
    await until('the list is there', () => updates.length === 1)
    expect((await probe(harness, client)).line).toBeUndefined()
    expect((await probe(harness, below)).line).toBe(OTHER)

    api.serve({ ...(await responseFor(ca, ID)), crl: [await crlOf(ca, [middle])] })
    await until('the list is there', () => updates.length === 2)
    expect((await probe(harness, client)).line).toBe(OTHER)
    expect((await probe(harness, below)).line).toBeUndefined()
  })

  test('alone are a change', async () => {
    const served = await responseFor(ca, ID)
    const { api, source } = await opened(served)
    api.serve({ ...served, crl: [await crlOf(ca, [])] })
    await until('it is a change', () => source.current().generation === 2)
  })

  test('that cannot be parsed make the response a fault', async () => {
    const { api, faults } = await opened(await responseFor(ca, ID))
    api.serve({ ...(await responseFor(ca, ID)), crl: [Buffer.from('garbage')] })
    await until('the fault is told', () => faults.length === 1)
    expect(faults[0]).toContain('revocation list 1: not DER')
  })
})

test('an intermediate that came with the SVID is part of it', async () => {
  const issued = await (await ca.intermediate()).issue({ uri: ID })
  const { source } = await opened({ svids: [svidFields(ID, issued, ca)] })
  expect(source.current().certPem).toBe(issued.chainPem.replaceAll('\n\n', '\n'))
})

test('the exported source refuses a peer before a byte is sent, unless it is the one that was named', async () => {
  const api = await apiWith(await responseFor(ca, ID, { ips: ['127.0.0.1'] }))
  await using harness = await startHarness({ endpoint: api.endpoint })
  const connectTo = (peer: string): Promise<Error | null> =>
    new Promise((resolve) => {
      const options = { hostname: '127.0.0.1', port: String(harness.port), protocol: 'https:', host: '' }
      harness.source.connector(peer)(options, (error, socket) => {
        socket?.destroy()
        resolve(error)
      })
    })
  expect(await connectTo(ID)).toBeNull()
  expect(await connectTo(OTHER)).toMatchObject({ message: expect.stringContaining('another SPIFFE ID') as string })
})
