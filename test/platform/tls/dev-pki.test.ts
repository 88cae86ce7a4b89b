// The development PKI: what it writes, when it renews, and that it is a good X.509-SVID PKI by our own rules.
import { X509Certificate } from 'node:crypto'
import { readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseSpiffeId, parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { readCertificate } from '../../../src/platform/svid/certificate-facts.ts'
import { loadCredentials } from '../../../src/platform/tls/credentials.ts'
import { createCa, issueSvid } from '../../../src/platform/tls/dev-ca.ts'
import { devSpiffeId, ensureDevPki } from '../../../src/platform/tls/dev-pki.ts'
import { parseSvid } from '../../../src/platform/svid/x509-svid.ts'
import { tempDir } from '../../fixtures/pki/credential-files.ts'

const trustDomain = parseTrustDomain('crank.local')
const NAMES = ['controller', 'worker-hello-world', 'worker-streaming'] as const
const DAY_MS = 86_400_000

function ensure(dir: string, now: () => number = Date.now) {
  return ensureDevPki({ dir, trustDomain, names: NAMES, now })
}

async function contents(dir: string): Promise<Partial<Record<string, string>>> {
  const texts: Record<string, string> = {}
  for (const name of (await readdir(dir)).sort()) texts[name] = await readFile(path.join(dir, name), 'utf8')
  return texts
}

describe('a new PKI', () => {
  test('has a certificate and a key for each name, the bundle, the CA key, and nothing else', async () => {
    await using dir = await tempDir()
    const files = await ensure(path.join(dir.path, 'pki'))
    expect(Object.keys(files)).toEqual([...NAMES])
    expect(await readdir(path.join(dir.path, 'pki'))).toEqual(
      [...NAMES.flatMap((name) => [`${name}.crt`, `${name}.key`]), 'crank.local.pem', 'dev-ca.key'].sort(),
    )
  })

  test('has SPIFFE IDs that follow the names, and loads as credentials', async () => {
    await using dir = await tempDir()
    const files = await ensure(dir.path)
    const ids = await Promise.all(
      Object.values(files).map(async (each) => (await loadCredentials(each, Date.now)).spiffeId),
    )
    expect(ids).toEqual([
      'spiffe://crank.local/controller',
      'spiffe://crank.local/worker/hello-world',
      'spiffe://crank.local/worker/streaming',
    ])
  })

  test('keeps keys and the folder to the owner', async () => {
    await using dir = await tempDir()
    const pki = path.join(dir.path, 'pki')
    await ensure(pki)
    const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8)
    expect(await modeOf(pki)).toBe('700')
    for (const name of ['dev-ca.key', ...NAMES.map((each) => `${each}.key`)]) {
      expect(await modeOf(path.join(pki, name))).toBe('600')
    }
  })

  test('gives only the controller host names, so that curl works', async () => {
    await using dir = await tempDir()
    const files = await ensure(dir.path)
    const sanOf = async (file: string) => new X509Certificate(await readFile(file)).subjectAltName
    expect(await sanOf(files.controller.certFile)).toBe(
      'URI:spiffe://crank.local/controller, DNS:localhost, IP Address:127.0.0.1',
    )
    expect(await sanOf(files['worker-streaming'].certFile)).toBe('URI:spiffe://crank.local/worker/streaming')
  })

  test('has a CA by the rules of X509-SVID 3.2 and P-256 keys', async () => {
    await using dir = await tempDir()
    const files = await ensure(dir.path)
    const ca = new X509Certificate(await readFile(files.controller.bundlePath))
    expect(readCertificate(ca.raw)).toMatchObject({
      uris: ['spiffe://crank.local'],
      basicConstraints: { ca: true },
      keyUsage: { keyCertSign: true, digitalSignature: false },
    })
    expect(ca.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
  })
})

describe('run again', () => {
  test('changes nothing while everything is good', async () => {
    await using dir = await tempDir()
    await ensure(dir.path)
    const before = await contents(dir.path)
    await ensure(dir.path)
    expect(await contents(dir.path)).toEqual(before)
  })

  test('renews a certificate when less than a third of its life is left, not before', async () => {
    await using dir = await tempDir()
    await ensure(dir.path)
    const before = await contents(dir.path)
    await ensure(dir.path, () => Date.now() + 4 * DAY_MS)
    expect(await contents(dir.path)).toEqual(before)
    const later = () => Date.now() + 5 * DAY_MS
    const files = await ensure(dir.path, later)
    const after = await contents(dir.path)
    expect(after['crank.local.pem']).toBe(before['crank.local.pem'])
    expect(after['controller.crt']).not.toBe(before['controller.crt'])
    await expect(loadCredentials(files.controller, later)).resolves.toBeDefined()
  })

  test('makes a new CA, and everything below it, when the CA comes to its end', async () => {
    await using dir = await tempDir()
    await ensure(dir.path)
    const before = await contents(dir.path)
    const later = () => Date.now() + 300 * DAY_MS
    const files = await ensure(dir.path, later)
    expect((await contents(dir.path))['crank.local.pem']).not.toBe(before['crank.local.pem'])
    for (const each of Object.values(files)) await expect(loadCredentials(each, later)).resolves.toBeDefined()
  })

  test.each([
    ['a lost key', 'worker-streaming.key', undefined],
    ['a lost certificate', 'controller.crt', undefined],
    ['a broken certificate', 'controller.crt', 'broken'],
    ['a broken bundle', 'crank.local.pem', 'broken'],
    ['a broken CA', 'dev-ca.key', 'broken'],
    ['a lost CA', 'dev-ca.key', undefined],
  ])('repairs %s', async (_name, file, text) => {
    await using dir = await tempDir()
    await ensure(dir.path)
    const damaged = path.join(dir.path, file)
    await (text === undefined ? unlink(damaged) : writeFile(damaged, text))
    for (const each of Object.values(await ensure(dir.path))) {
      await expect(loadCredentials(each, Date.now)).resolves.toBeDefined()
    }
  })

  test('serves another trust domain from the same folder by making it its own CA', async () => {
    await using dir = await tempDir()
    await ensure(dir.path)
    const other = parseTrustDomain('other.test')
    const files = await ensureDevPki({ dir: dir.path, trustDomain: other, names: ['controller'], now: Date.now })
    expect((await loadCredentials(files.controller, Date.now)).spiffeId).toBe('spiffe://other.test/controller')
  })

  test('by several processes at once leaves one PKI that fits together', async () => {
    await using dir = await tempDir()
    await Promise.all(Array.from({ length: 4 }, () => ensure(dir.path)))
    for (const each of Object.values(await ensure(dir.path))) {
      await expect(loadCredentials(each, Date.now)).resolves.toBeDefined()
    }
  })
})

describe('issuing by hand', () => {
  test('names the SPIFFE ID, hosts and days that were asked for', async () => {
    const nowMs = Date.parse('2026-11-23T10:00:00Z')
    const ca = await createCa({ trustDomain, days: 30, now: () => nowMs })
    const spiffeId = parseSpiffeId('spiffe://crank.local/worker/new')
    const issued = await issueSvid({ ca, spiffeId, dns: ['a.test'], ips: ['::1'], days: 2, now: () => nowMs })
    const certificate = new X509Certificate(issued.certPem)
    expect(parseSvid(certificate.raw)).toMatchObject({ spiffeId, notAfterMs: nowMs + 2 * DAY_MS })
    expect(certificate.subjectAltName).toContain('DNS:a.test, IP Address:0:0:0:0:0:0:0:1')
    expect(certificate.verify(new X509Certificate(ca.certPem).publicKey)).toBe(true)
  })

  test('never gives a certificate that outlives its CA', async () => {
    const ca = await createCa({ trustDomain, days: 1, now: Date.now })
    const { certPem } = await issueSvid({
      ca,
      spiffeId: devSpiffeId(trustDomain, 'controller'),
      days: 30,
      now: Date.now,
    })
    expect(new X509Certificate(certPem).validToDate).toEqual(new X509Certificate(ca.certPem).validToDate)
  })

  test('refuses an ID of another trust domain', async () => {
    const ca = await createCa({ trustDomain, days: 1, now: Date.now })
    const spiffeId = parseSpiffeId('spiffe://other.test/worker/a')
    await expect(issueSvid({ ca, spiffeId, days: 1, now: Date.now })).rejects.toThrow(
      'is not in crank.local, the trust domain of this CA',
    )
  })

  test('knows the names of servers', () => {
    expect(['controller', 'nats'].map((name) => devSpiffeId(trustDomain, name))).toEqual([
      'spiffe://crank.local/controller',
      'spiffe://crank.local/nats',
    ])
  })

  test.each(['', 'worker-', 'worker-../x', 'worker-a/b', 'admin', 'worker-ä'])('refuses the name %j', (name) => {
    expect(() => devSpiffeId(trustDomain, name)).toThrow('is not a name of the development PKI')
  })
})
