// Own credentials from files: what is accepted, how a fault is said, and how a running process follows the disk.
import { rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pino } from 'pino'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import {
  loadCredentials,
  watchCredentials,
  type CredentialFiles,
  type Credentials,
  type CredentialSource,
} from '../../../src/platform/tls/credentials.ts'
import { createKeys, createTestCa, selfSigned, type IssueOptions, type TestCa } from '../../fixtures/pki/ca.ts'
import { issueTo, tempDir, writeCredentials } from '../../fixtures/pki/credential-files.ts'
import { createTestPki, type TestPki } from '../../fixtures/pki/defects.ts'

const ID = 'spiffe://td1.test/controller'
const log = pino({ level: 'silent' })
let pki: TestPki
beforeAll(async () => {
  pki = await createTestPki()
})

type Folder = Awaited<ReturnType<typeof tempDir>>

async function loadFrom(
  dir: string,
  options: Partial<Parameters<typeof writeCredentials>[1]> = {},
): Promise<Credentials> {
  const issued = options.issued ?? (await pki.td1.issue({ uri: ID }))
  return await loadCredentials(
    await writeCredentials(dir, { name: 'own', cas: [pki.td1], ...options, issued }),
    Date.now,
  )
}

describe('a good set', () => {
  test('may chain to an anchor that is not a root', async () => {
    await using dir = await tempDir()
    const issuing = await pki.td1.intermediate()
    const credentials = await loadFrom(dir.path, { cas: [issuing], issued: await issuing.issue({ uri: ID }) })
    expect(credentials.caPem).toEqual([issuing.certPem])
  })

  test('hands roots to OpenSSL first, and the newest of them in front', async () => {
    await using dir = await tempDir()
    const older = await createTestCa('td1.test', { notBeforeMs: Date.now() - DAY_MS })
    const issuing = await older.intermediate()
    const { caPem } = await loadFrom(dir.path, { cas: [issuing, older, pki.td1] })
    expect(caPem).toEqual([pki.td1, older, issuing].map(({ certPem }) => certPem))
  })

  test('gives the ID, the PEM texts and the anchors of the own trust domain', async () => {
    await using dir = await tempDir()
    const endMs = Math.floor(Date.now() / 1000) * 1000 + 60_000
    const issued = await pki.td1.issue({ uri: ID, notAfterMs: endMs })
    const credentials = await loadFrom(dir.path, { issued })
    expect(credentials).toMatchObject({ generation: 1, spiffeId: ID, notAfterMs: endMs, certPem: issued.certPem })
    expect([...credentials.bundles.keys()]).toEqual(['td1.test'])
    expect(credentials.caPem).toEqual([pki.td1.certPem])
  })

  test('may chain through intermediates in the certificate file', async () => {
    await using dir = await tempDir()
    const issued = await (await (await pki.td1.intermediate()).intermediate()).issue({ uri: ID })
    expect((await loadFrom(dir.path, { issued })).certPem).toBe(issued.chainPem)
  })

  test('may have several CAs in a bundle, and a bundle for each trust domain in a folder', async () => {
    await using dir = await tempDir()
    const { bundles, caPem } = await loadFrom(dir.path, { cas: [pki.impostor, pki.td1], federated: [pki.td2] })
    expect([...bundles].map(([domain, anchors]) => [domain, anchors.length])).toEqual([
      ['td1.test', 2],
      ['td2.test', 1],
    ])
    expect(caPem).toHaveLength(3)
  })

  test('is read as spiffe-helper writes it: svid.pem, svid_key.pem, bundle.pem', async () => {
    await using dir = await tempDir()
    const issued = await (await pki.td1.intermediate()).issue({ uri: ID, subject: '' })
    const file = (name: string): string => path.join(dir.path, name)
    await writeFile(file('svid.pem'), issued.chainPem)
    await writeFile(file('svid_key.pem'), issued.keyPem)
    await writeFile(file('bundle.pem'), pki.td1.certPem + pki.impostor.certPem)
    const credentials = await loadCredentials(
      {
        certFile: file('svid.pem'),
        keyFile: file('svid_key.pem'),
        bundlePath: file('bundle.pem'),
        trustDomain: parseTrustDomain('td1.test'),
      },
      Date.now,
    )
    expect(credentials.spiffeId).toBe(ID)
  })

  test('may have comments and the key in the certificate file, in either order', async () => {
    await using dir = await tempDir()
    const { certPem, keyPem } = await pki.td1.issue({ uri: ID })
    for (const text of [keyPem + certPem, `subject=CN = x\n${certPem}${keyPem}`]) {
      const credentials = await loadFrom(dir.path, { issued: { chainPem: text, keyPem: text } })
      expect(credentials.certPem).toBe(certPem)
    }
  })
})

const DAY_MS = 86_400_000
type Break = (dir: string) => Promise<Credentials>
const issuedAs =
  (options: IssueOptions): Break =>
  async (dir) =>
    loadFrom(dir, { issued: await pki.td1.issue(options) })
const filesWith =
  (change: (files: CredentialFiles) => Promise<unknown>): Break =>
  async (dir) => {
    const files = await issueTo(dir, pki.td1, 'own', ID)
    await change(files)
    return await loadCredentials(files, Date.now)
  }

const BROKEN: Record<string, [Break, string]> = {
  'a missing certificate': [filesWith((f) => unlink(f.certFile)), 'own.crt: does not exist'],
  'a missing key': [filesWith((f) => unlink(f.keyFile)), 'own.key: does not exist'],
  'a missing bundle': [filesWith((f) => unlink(f.bundlePath)), 'td1.test.pem: does not exist'],
  'a folder in place of the certificate': [
    filesWith(async (f) => {
      await unlink(f.certFile)
      await symlink(path.dirname(f.certFile), f.certFile)
    }),
    'own.crt: cannot be read (EISDIR)',
  ],
  'an empty certificate file': [filesWith((f) => writeFile(f.certFile, '')), 'own.crt: contains no certificate'],
  'a certificate that is not PEM': [
    filesWith((f) => writeFile(f.certFile, 'hello')),
    'own.crt: contains no certificate',
  ],
  'a corrupt certificate': [
    filesWith((f) => writeFile(f.certFile, '-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n')),
    'own.crt: certificate 1 cannot be parsed',
  ],
  'a corrupt key': [filesWith((f) => writeFile(f.keyFile, 'hello')), 'own.key: contains no readable private key'],
  'the key of another certificate': [
    filesWith(async (f) => writeFile(f.keyFile, (await pki.td1.issue({ uri: ID, keys: await createKeys() })).keyPem)),
    'own.key: is not the key of',
  ],
  'an empty bundle': [
    filesWith((f) => writeFile(f.bundlePath, '\n')),
    'td1.test.pem: contains no certificate, so no peer is trusted',
  ],
  'an SVID in the bundle': [
    filesWith(async (f) => writeFile(f.bundlePath, pki.td1.certPem + (await pki.td1.issue({ uri: ID })).certPem)),
    'td1.test.pem: certificate 2 is not a CA',
  ],
  'a certificate below an expired intermediate': [
    async (dir) => {
      const times = { notBeforeMs: Date.now() - 2 * DAY_MS, notAfterMs: Date.parse('2026-01-02T03:04:05Z') }
      const intermediate = await pki.td1.intermediate({ subject: 'CN=issuing', ...times })
      return loadFrom(dir, { issued: await intermediate.issue({ uri: ID }) })
    },
    'own.crt: its issuer is not valid now: the intermediate "CN=issuing" ended at 2026-01-02T03:04:05Z',
  ],
  'a certificate below an expired root': [
    async (dir) => {
      const times = { notBeforeMs: Date.now() - 2 * DAY_MS, notAfterMs: Date.parse('2026-01-02T03:04:05Z') }
      const root = await createTestCa('td1.test', { subject: 'CN=old root', ...times })
      return loadFrom(dir, { cas: [root], issued: await root.issue({ uri: ID }) })
    },
    'own.crt: its issuer is not valid now: the root "CN=old root" ended at 2026-01-02T03:04:05Z',
  ],
  'a certificate of another trust domain': [
    issuedAs({ uri: 'spiffe://td2.test/controller' }),
    'own.crt: is spiffe://td2.test/controller, but the trust domain is td1.test',
  ],
  'a certificate without a SPIFFE ID': [
    issuedAs({ dns: ['localhost'] }),
    'own.crt: not an X.509-SVID: the certificate has no URI SAN',
  ],
  'a CA certificate': [issuedAs({ uri: ID, ca: true }), 'own.crt: not an X.509-SVID: the certificate is a CA'],
  'an expired certificate': [
    issuedAs({ uri: ID, notBeforeMs: Date.now() - 2 * DAY_MS, notAfterMs: Date.parse('2026-01-02T03:04:05Z') }),
    'own.crt: expired at 2026-01-02T03:04:05.000Z',
  ],
  'a certificate of the future': [
    issuedAs({
      uri: ID,
      notBeforeMs: Date.parse('2999-01-01T00:00:00Z'),
      notAfterMs: Date.parse('2999-01-02T00:00:00Z'),
    }),
    'own.crt: is valid only from 2999-01-01T00:00:00.000Z; check the clock',
  ],
  'a certificate of a CA that is not in the bundle': [
    async (dir) => loadFrom(dir, { issued: await pki.impostor.issue({ uri: ID }) }),
    'own.crt: does not chain to',
  ],
  'a self-signed certificate': [
    async (dir) => loadFrom(dir, { issued: await selfSigned({ uri: ID }) }),
    'own.crt: does not chain to',
  ],
  'a certificate whose intermediate is not in the file': [
    async (dir) => {
      const { certPem, keyPem } = await (await pki.td1.intermediate()).issue({ uri: ID })
      return await loadFrom(dir, { issued: { chainPem: certPem, keyPem } })
    },
    'own.crt: does not chain to',
  ],
  'a bundle folder without the own trust domain': [
    async (dir) => {
      const files = await writeCredentials(dir, {
        name: 'own',
        issued: await pki.td1.issue({ uri: ID }),
        cas: [pki.td1],
        federated: [pki.td2],
      })
      await unlink(path.join(files.bundlePath, 'td1.test.pem'))
      return await loadCredentials(files, Date.now)
    },
    'td1.test.pem: missing; put the CAs of your own trust domain there',
  ],
  'a bundle folder with a file of another name': [
    async (dir) => {
      const files = await writeCredentials(dir, {
        name: 'own',
        issued: await pki.td1.issue({ uri: ID }),
        cas: [pki.td1],
        federated: [pki.td2],
      })
      await writeFile(path.join(files.bundlePath, 'My CA.pem'), pki.td1.certPem)
      return await loadCredentials(files, Date.now)
    },
    'My CA.pem: the file name is not a trust domain; name it <trust-domain>.pem',
  ],
}

describe('is refused in a sentence that names the file', () => {
  test.each(Object.entries(BROKEN))('%s', async (_name, [load, sentence]) => {
    await using dir = await tempDir()
    await expect(load(dir.path)).rejects.toThrow(sentence)
  })
})

describe('watching', () => {
  type Watched = {
    readonly dir: Folder
    readonly files: CredentialFiles
    readonly source: CredentialSource
    readonly faults: string[]
    readonly swaps: [number, number][]
    /** How often the files were asked for: more than once at each look. */
    asked: () => number
    replace: (ca: TestCa) => Promise<void>
  } & AsyncDisposable

  async function watched(netMs = 10): Promise<Watched> {
    const dir = await tempDir()
    const files = await issueTo(dir.path, pki.td1, 'own', ID)
    let asked = 0
    const counting: CredentialFiles = {
      ...files,
      get certFile() {
        asked += 1
        return files.certFile
      },
    }
    const source = await watchCredentials(counting, { now: Date.now, log, pace: { netMs, againMs: netMs } })
    const faults: string[] = []
    const swaps: [number, number][] = []
    source.onFault((error) => faults.push(error.message))
    source.onChange((next, previous) => swaps.push([next.generation, previous.generation]))
    return {
      dir,
      files,
      source,
      faults,
      swaps,
      asked: () => asked,
      async replace(ca) {
        await issueTo(dir.path, ca, 'own', ID)
      },
      async [Symbol.asyncDispose]() {
        source.close()
        await dir[Symbol.asyncDispose]()
      },
    }
  }

  const within = { interval: 5 }

  test('rejects when the first set is broken', async () => {
    await using dir = await tempDir()
    const files = await issueTo(dir.path, pki.td1, 'own', ID)
    await rm(files.keyFile)
    await expect(watchCredentials(files, { now: Date.now, log })).rejects.toThrow('own.key: does not exist')
  })

  test('takes over a new certificate and reports the generations', async () => {
    await using w = await watched()
    const before = w.source.current()
    await w.replace(pki.td1)
    await expect.poll(() => w.source.current().generation, within).toBe(2)
    expect(w.source.current().certPem).not.toBe(before.certPem)
    expect(w.swaps).toEqual([[2, 1]])
    expect(w.faults).toEqual([])
  })

  test('takes over a new CA with a new certificate as one snapshot, never a mixture', async () => {
    await using w = await watched(2)
    const seen: Credentials[] = []
    w.source.onChange((next) => seen.push(next))
    for (const ca of [await createTestCa('td1.test'), await createTestCa('td1.test'), await createTestCa('td1.test')]) {
      await w.replace(ca)
      await expect.poll(() => w.source.current().caPem, within).toEqual([ca.certPem])
    }
    for (const credentials of seen) {
      const dir = await tempDir()
      await using _dir = dir
      const issued = { chainPem: credentials.certPem, keyPem: credentials.keyPem }
      const files = await writeCredentials(dir.path, {
        name: 'again',
        issued,
        cas: [{ ...pki.td1, certPem: credentials.caPem.join('') }],
      })
      await expect(loadCredentials(files, Date.now)).resolves.toMatchObject({ spiffeId: ID })
    }
    expect(w.faults).toEqual([])
  })

  test('does not count a file that was written again with the same content', async () => {
    await using w = await watched()
    const { certPem, keyPem, caPem } = w.source.current()
    await writeFile(w.files.keyFile, keyPem)
    await writeFile(w.files.certFile, certPem)
    await writeFile(w.files.bundlePath, caPem.join('') + pki.impostor.certPem)
    await expect.poll(() => w.source.current().generation, within).toBe(2)
    expect(w.swaps).toEqual([[2, 1]])
  })

  test('keeps the old set while a broken one stands, reports it once, and recovers', async () => {
    // A fault stands for 2 s before it is told, counted in looks: a few slow ones cost less time than many.
    await using w = await watched(250)
    const before = w.source.current()
    await writeFile(w.files.certFile, 'broken')
    await expect.poll(() => w.faults.length, within).toBe(1)
    expect(w.faults[0]).toContain('own.crt: contains no certificate')
    const asked = w.asked()
    await expect.poll(w.asked, within).toBeGreaterThan(asked + 4)
    expect(w.faults).toHaveLength(1)
    expect(w.source.current()).toBe(before)
    await unlink(w.files.keyFile)
    await expect.poll(() => w.faults.length, within).toBe(2)
    expect(w.faults[1]).toContain('own.key: does not exist')
    expect(w.source.current()).toBe(before)
    await w.replace(pki.td1)
    await expect.poll(() => w.source.current().generation, within).toBe(2)
    // While the three files are replaced one after the other, a slow machine may see one more fault between them.
    for (const told of ['contains no certificate', 'does not exist']) {
      expect(w.faults.filter((fault) => fault.includes(told))).toHaveLength(1)
    }
  })

  test('sees a bundle that is added to the folder, and one that is removed', async () => {
    await using dir = await tempDir()
    const issued = await pki.td1.issue({ uri: ID })
    const files = await writeCredentials(dir.path, { name: 'own', issued, cas: [pki.td1], federated: [pki.td2] })
    const source = await watchCredentials(files, { now: Date.now, log, pace: { netMs: 10, againMs: 10 } })
    const domains = (): string[] => [...source.current().bundles.keys()]
    expect(domains()).toEqual(['td1.test', 'td2.test'])
    await unlink(path.join(files.bundlePath, 'td2.test.pem'))
    await expect.poll(domains, within).toEqual(['td1.test'])
    await writeFile(path.join(files.bundlePath, 'td3.test.pem'), pki.td2.certPem)
    await expect.poll(domains, within).toEqual(['td1.test', 'td3.test'])
    source.close()
  })

  test('follows a linked folder that is swapped, as Kubernetes does it', async () => {
    await using dir = await tempDir()
    const [one, two] = ['one', 'two'].map((name) => path.join(dir.path, name))
    await issueTo(one!, pki.td1, 'own', ID)
    await issueTo(two!, pki.td1, 'own', ID)
    const link = path.join(dir.path, 'data')
    await symlink(one!, link)
    const files: CredentialFiles = {
      certFile: path.join(link, 'own.crt'),
      keyFile: path.join(link, 'own.key'),
      bundlePath: path.join(link, 'bundles', 'td1.test.pem'),
      trustDomain: parseTrustDomain('td1.test'),
    }
    const source = await watchCredentials(files, { now: Date.now, log, pace: { netMs: 10, againMs: 10 } })
    await symlink(two!, `${link}.new`)
    await rename(`${link}.new`, link)
    await expect.poll(() => source.current().generation, within).toBe(2)
    source.close()
  })

  test('one failing listener does not keep the others from hearing', async () => {
    await using w = await watched()
    const heard: number[] = []
    w.source.onChange(() => {
      throw new Error('listener')
    })
    w.source.onChange((next) => heard.push(next.generation))
    await w.replace(pki.td1)
    await expect.poll(() => heard, within).toEqual([2])
  })

  test('says nothing more to a listener that has left, nor to anybody once closed', async () => {
    await using w = await watched()
    const heard: number[] = []
    const leave = w.source.onChange((next) => heard.push(next.generation))
    leave()
    await w.replace(pki.td1)
    await expect.poll(() => w.swaps.length, within).toBe(1)
    expect(heard).toEqual([])
    w.source.close()
    const { generation } = w.source.current()
    await w.replace(pki.td1)
    await using other = await watched()
    await other.replace(pki.td1)
    await expect.poll(() => other.swaps.length, within).toBe(1)
    expect(w.source.current().generation).toBe(generation)
  })
})
