// Revocation lists: what they say of a certificate, and which are not believed.
import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { describe, expect, test } from 'vitest'
import { parseCrl } from '../../../src/platform/svid/crl.ts'
import { createRevocations } from '../../../src/platform/svid/revocations.ts'
import { createTestCa, rawExtension, type Issued } from '../../fixtures/pki/ca.ts'
import { crlOf } from '../../fixtures/pki/crl.ts'

const ID = 'spiffe://td1.test/worker/a'
const certificateOf = ({ certPem }: Pick<Issued, 'certPem'>): X509Certificate => new X509Certificate(certPem)
const ca = await createTestCa('td1.test')
const anchor = certificateOf(ca)
const bad = await ca.issue({ uri: ID })
const good = await ca.issue({ uri: ID })

describe('a list', () => {
  test('has the certificates that it names, and no others', async () => {
    const revocations = createRevocations([await crlOf(ca, [bad])])
    expect(revocations.has(certificateOf(bad), [anchor])).toBe(true)
    expect(revocations.has(certificateOf(good), [anchor])).toBe(false)
  })

  test('may be empty', async () => {
    const revocations = createRevocations([await crlOf(ca, [])])
    expect([revocations.lists.length, revocations.has(certificateOf(bad), [anchor])]).toEqual([1, false])
  })

  test('counts beside lists of others', async () => {
    const other = await createTestCa('td2.test')
    const revocations = createRevocations([await crlOf(other, []), await crlOf(ca, [bad])])
    expect(revocations.has(certificateOf(bad), [certificateOf(other), anchor])).toBe(true)
  })

  test('still counts after its next update was due', async () => {
    const late = await crlOf(ca, [bad], { nextUpdate: new Date(Date.now() - 1000) })
    expect(createRevocations([late]).has(certificateOf(bad), [anchor])).toBe(true)
  })

  test('of another CA does not count, whatever serial numbers it names', async () => {
    const other = await createTestCa('td1.test')
    const revocations = createRevocations([await crlOf(other, [bad])])
    expect(revocations.has(certificateOf(bad), [anchor, certificateOf(other)])).toBe(false)
  })

  test('with the name of the CA and the signature of another does not count', async () => {
    const forged = await crlOf(ca, [bad], { signedBy: await createTestCa('td1.test') })
    expect(createRevocations([forged]).has(certificateOf(bad), [anchor])).toBe(false)
  })

  test('that a successor of the same name signed counts', async () => {
    const subject = new x509.X509Certificate(ca.certPem).subject
    const successor = await createTestCa('td1.test', { subject })
    const revocations = createRevocations([await crlOf(successor, [bad])])
    expect(revocations.has(certificateOf(bad), [anchor, certificateOf(successor)])).toBe(true)
    expect(revocations.has(certificateOf(bad), [anchor])).toBe(false)
  })
})

describe('signatures', () => {
  test.each([
    [
      'RSA',
      { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-384', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
    ],
    ['Ed25519', { name: 'Ed25519' }],
  ] as const)('of %s are checked', async (_, algorithm) => {
    const keys = (await webcrypto.subtle.generateKey(algorithm as { name: 'Ed25519' }, true, [
      'sign',
      'verify',
    ])) as webcrypto.CryptoKeyPair
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=x',
      keys,
      signingAlgorithm: algorithm,
    })
    const list = await x509.X509CrlGenerator.create({
      issuer: 'CN=x',
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
    })
    const crl = parseCrl(Buffer.from(list.rawData))
    expect(crl.isSignedBy(new X509Certificate(certificate.toString('pem')))).toBe(true)
    expect(crl.isSignedBy(anchor)).toBe(false)
  })
})

describe('what is no list that can be used is refused', () => {
  test('garbage', () => {
    expect(() => createRevocations([Buffer.from('garbage')])).toThrow('revocation list 1: not DER')
  })

  test('a certificate', () => {
    expect(() => createRevocations([ca.certDer])).toThrow('revocation list 1: ')
  })

  test('a critical extension, which may change what the list means', async () => {
    const delta = rawExtension('2.5.29.27', true, Buffer.from('020101', 'hex'))
    const list = await crlOf(ca, [bad], { extensions: [delta] })
    expect(() => createRevocations([list])).toThrow('the list has a critical extension that is not supported: 551d1b')
  })

  test('an extension that is not critical changes nothing', async () => {
    const number = rawExtension('2.5.29.20', false, Buffer.from('020101', 'hex'))
    const list = await crlOf(ca, [bad], { extensions: [number] })
    expect(createRevocations([list]).has(certificateOf(bad), [anchor])).toBe(true)
  })

  test('no cut or changed byte makes the parser throw anything but an Error with a reason', async () => {
    const list = await crlOf(ca, [bad])
    for (let at = 0; at < list.length; at++) {
      const changed = Buffer.from(list)
      changed[at]! ^= 0xff
      for (const bytes of [list.subarray(0, at), changed]) {
        const thrown = thrownBy(() => parseCrl(bytes))
        expect.soft(thrown === undefined || thrown instanceof Error, String(at)).toBe(true)
        expect.soft(thrown, String(at)).not.toBeInstanceOf(TypeError)
      }
    }
  })
})

function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error: unknown) {
    return error
  }
}
