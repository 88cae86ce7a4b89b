// Verification of a peer on real handshakes: trust in the right bundle, the order of causes, what is remembered.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import type { Credentials } from '../../../src/platform/tls/credentials.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { createKeys, createTestCa, rawExtension, type Issued, type TestCa } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import {
  createTestPki,
  DER_DEFECTS,
  GOOD_ID,
  LEAF_DEFECTS,
  MALFORMED,
  TRUST_DEFECTS,
  type TestPki,
} from '../../fixtures/pki/defects.ts'
import { startPeerServer, type PeerServer } from '../../fixtures/pki/tls-peers.ts'

let pki: TestPki
let federated: Credentials
let alone: Credentials
let server: PeerServer
const cleanup = new AsyncDisposableStack()

function credentialsOf(ca: TestCa, ...federatedCas: TestCa[]): Promise<Credentials> {
  return credentialsFor(ca, 'spiffe://td1.test/controller', ...federatedCas)
}

beforeAll(async () => {
  pki = await createTestPki()
  federated = await credentialsOf(pki.td1, pki.td2)
  alone = await credentialsOf(pki.td1)
  server = cleanup.use(await startPeerServer(federated))
})
afterAll(() => cleanup.disposeAsync())

async function verdict(certificate: Issued | undefined, credentials = federated, now = Date.now): Promise<string> {
  const socket = await server.accept(certificate)
  try {
    return createPeerVerifier({ now }).verify(socket, credentials).spiffeId
  } catch (error: unknown) {
    return error instanceof AppError ? error.code : 'not an AppError'
  }
}

describe('accepts', () => {
  test('a leaf of the own trust domain', async () => {
    const issued = await pki.td1.issue({ uri: GOOD_ID })
    const socket = await server.accept(issued)
    const peer = createPeerVerifier({ now: Date.now }).verify(socket, federated)
    expect(peer).toMatchObject({ spiffeId: GOOD_ID, generation: federated.generation })
    expect(peer.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(peer.notAfterMs).toBeGreaterThan(Date.now())
    expect(peer.notBeforeMs).toBeLessThan(Date.now())
  })

  test('a leaf of a federated trust domain', async () => {
    const id = 'spiffe://td2.test/worker/b'
    expect(await verdict(await pki.td2.issue({ uri: id }))).toBe(id)
  })

  test('a leaf below two intermediates, though Node 24.21 drops them from an authorised connection', async () => {
    const lower = await (await pki.td1.intermediate()).intermediate()
    expect(await verdict(await lower.issue({ uri: GOOD_ID }))).toBe(GOOD_ID)
  })

  test('intermediates presented in the wrong order, and useless ones among them', async () => {
    const upper = await pki.td1.intermediate()
    const lower = await upper.intermediate()
    const { certPem, keyPem, certDer } = await lower.issue({ uri: GOOD_ID })
    const chainPem = certPem + pki.impostor.certPem + upper.certPem + lower.certPem
    expect(await verdict({ certPem, keyPem, certDer, chainPem })).toBe(GOOD_ID)
  })

  test('an intermediate within its path length', async () => {
    const lower = await (await pki.td1.intermediate({ pathLength: 1 })).intermediate({ pathLength: 0 })
    expect(await verdict(await lower.issue({ uri: GOOD_ID }))).toBe(GOOD_ID)
  })
})

describe('refuses', () => {
  test('a peer without a certificate', async () => {
    expect(await verdict(undefined)).toBe('client_certificate_required')
  })

  test.each(Object.entries({ ...LEAF_DEFECTS, ...DER_DEFECTS, ...MALFORMED, ...TRUST_DEFECTS }))(
    '%s',
    async (_name, { code, issue }) => {
      expect(await verdict(await issue(pki))).toBe(code)
    },
  )

  test('a trust domain that is no longer federated', async () => {
    expect(await verdict(await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' }), alone)).toBe(
      'client_certificate_untrusted',
    )
  })

  test("a td1 name below td2's intermediate", async () => {
    expect(await verdict(await (await pki.td2.intermediate()).issue({ uri: GOOD_ID }))).toBe(
      'client_certificate_untrusted',
    )
  })

  test('what OpenSSL alone has refused: an unknown critical extension', async () => {
    const extensions = [rawExtension('1.2.3.4', true, Buffer.from('0500', 'hex'))]
    expect(await verdict(await pki.td1.issue({ uri: GOOD_ID, extensions }))).toBe('client_certificate_untrusted')
  })

  test('by its own clock, whatever OpenSSL says', async () => {
    const issued = await pki.td1.issue({ uri: GOOD_ID, notAfterMs: Date.now() + 60_000 })
    expect(await verdict(issued, federated, () => Date.now() + 61_000)).toBe('client_certificate_expired')
    expect(await verdict(issued, federated, () => Date.now() - 3_600_000)).toBe('client_certificate_not_yet_valid')
  })

  test('a leaf whose intermediate ends before it, from that moment on', async () => {
    const endMs = Math.floor(Date.now() / 1000) * 1000 + 60_000
    const issued = await (await pki.td1.intermediate({ notAfterMs: endMs })).issue({ uri: GOOD_ID })
    const socket = await server.accept(issued)
    let nowMs = endMs - 1
    const verifier = createPeerVerifier({ now: () => nowMs })
    expect(verifier.verify(socket, federated).notAfterMs).toBe(endMs)
    nowMs = endMs
    expect(() => verifier.verify(socket, federated)).toThrow(
      expect.objectContaining({ code: 'client_certificate_expired' }) as Error,
    )
  })
})

describe('the order of causes', () => {
  test('a certificate nobody vouches for is untrusted, whatever else is wrong with it', async () => {
    for (const options of [{ san: [] }, { uri: 'spiffe://td1.test' }, { uri: GOOD_ID, ca: true }]) {
      expect(await verdict(await pki.impostor.issue(options))).toBe('client_certificate_untrusted')
    }
    const past = { notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }
    expect(await verdict(await pki.impostor.issue({ uri: GOOD_ID, ...past }))).toBe('client_certificate_untrusted')
  })

  test('then the ID, then trust of its own domain, then time, then profile', async () => {
    const past = { notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }
    expect(await verdict(await pki.td1.issue({ san: [], ca: true, ...past }))).toBe(
      'spiffe_id_not_found_in_certificate',
    )
    expect(await verdict(await pki.td2.issue({ uri: GOOD_ID, ca: true, ...past }))).toBe('client_certificate_untrusted')
    expect(await verdict(await pki.td1.issue({ uri: GOOD_ID, ca: true, ...past }))).toBe('client_certificate_expired')
  })
})

describe('what is remembered', () => {
  test('a known certificate is judged again under every bundle', async () => {
    const socket = await server.accept(await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' }))
    const verifier = createPeerVerifier({ now: Date.now })
    expect(verifier.verify(socket, federated).spiffeId).toBe('spiffe://td2.test/worker/b')
    expect(() => verifier.verify(socket, alone)).toThrow(AppError)
    expect(verifier.verify(socket, federated).spiffeId).toBe('spiffe://td2.test/worker/b')
  })

  test('a CA issued again with the same key keeps its leaves trusted, one with another key does not', async () => {
    const keys = await createKeys()
    const names = { keys, subject: 'CN=td1.test, OU=rotated' }
    const [first, again, other] = await Promise.all([
      createTestCa('td1.test', names),
      createTestCa('td1.test', { ...names, notAfterMs: Date.now() + 7_200_000 }),
      createTestCa('td1.test', { subject: names.subject }),
    ])
    const before = await credentialsOf(first)
    await using own = await startPeerServer(before)
    const socket = await own.accept(await first.issue({ uri: GOOD_ID }))
    const verifier = createPeerVerifier({ now: Date.now })
    expect(verifier.verify(socket, before).spiffeId).toBe(GOOD_ID)
    expect(verifier.verify(socket, await credentialsOf(again)).spiffeId).toBe(GOOD_ID)
    const replaced = await credentialsOf(other)
    expect(() => verifier.verify(socket, replaced)).toThrow(AppError)
  })

  test('a full cache forgets, and verifies again', async () => {
    const verifier = createPeerVerifier({ now: Date.now, cacheSize: 1 })
    const sockets = [
      await server.accept(await pki.td1.issue({ uri: 'spiffe://td1.test/worker/a' })),
      await server.accept(await pki.td1.issue({ uri: 'spiffe://td1.test/worker/b' })),
    ]
    const seen = [...sockets, ...sockets].map((socket) => verifier.verify(socket, federated).spiffeId)
    expect(seen).toEqual(['a', 'b', 'a', 'b'].map((name) => `spiffe://td1.test/worker/${name}`))
  })
})

test('certificates that all seem to have issued one another cost a bounded number of signatures', async () => {
  // Ten CAs with one name and one key: every one issued every other one, and none leads to an anchor.
  const keys = await createKeys()
  const loop = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      createTestCa('td1.test', { keys, subject: 'CN=loop', notAfterMs: Date.now() + 3_600_000 + n * 1000 }),
    ),
  )
  const { certPem, keyPem, certDer } = await loop[0]!.issue({ uri: GOOD_ID })
  const chainPem = certPem + loop.map((ca) => ca.certPem).join('')
  const startMs = performance.now()
  expect(await verdict({ certPem, keyPem, certDer, chainPem })).toBe('client_certificate_untrusted')
  // Unbounded it would be 8! paths: minutes.
  expect(performance.now() - startMs).toBeLessThan(5000)
})
