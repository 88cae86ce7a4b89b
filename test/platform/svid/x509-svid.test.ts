// What an X.509-SVID leaf must say about itself, on certificates minted for each rule.
import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { readCertificate } from '../../../src/platform/svid/certificate-facts.ts'
import { parseSvid } from '../../../src/platform/svid/x509-svid.ts'
import { rawExtension, type IssueOptions } from '../../fixtures/pki/ca.ts'
import {
  createTestPki,
  DER_DEFECTS,
  GOOD_ID,
  LEAF_DEFECTS,
  MALFORMED,
  TRUST_DEFECTS,
  type TestPki,
} from '../../fixtures/pki/defects.ts'

let pki: TestPki
beforeAll(async () => {
  pki = await createTestPki()
})

function codeOf(der: Buffer): string {
  try {
    parseSvid(der)
    return 'accepted'
  } catch (error: unknown) {
    return error instanceof AppError ? error.code : 'not an AppError'
  }
}

test('reads the ID, the validity and the fingerprint of a good leaf', async () => {
  const { certDer, certPem } = await pki.td1.issue({ uri: GOOD_ID, notBeforeMs: 1_700_000_000_000, notAfterMs: 4e12 })
  expect(parseSvid(certDer)).toEqual({
    spiffeId: GOOD_ID,
    notBeforeMs: 1_700_000_000_000,
    notAfterMs: 4e12,
    fingerprint: new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase(),
    issuerKeyId: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
  })
})

const ALSO_GOOD: Record<string, IssueOptions> = {
  'names of other kinds beside the URI': {
    san: [{ dns: 'localhost' }, { otherName: true }, { uri: GOOD_ID }, { ip: '127.0.0.1' }, { ip: '::1' }],
  },
  'a DNS name that spells another URI': { san: [{ dns: 'x, URI:spiffe://td1.test/controller' }, { uri: GOOD_ID }] },
  'an empty subject and a critical SAN': { uri: GOOD_ID, subject: '' },
  'no basicConstraints': { uri: GOOD_ID, ca: null },
  'no extended key usage': { uri: GOOD_ID, eku: null },
  'more usages than needed': {
    uri: GOOD_ID,
    keyUsage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
    eku: ['serverAuth', 'clientAuth', 'codeSigning'],
  },
  'the longest ID': { uri: 'spiffe://td1.test/'.padEnd(2048, 'a') },
  'an extension nobody knows': {
    uri: GOOD_ID,
    extensions: [rawExtension('1.2.3.4', false, Buffer.from('0500', 'hex'))],
  },
}

test.each(Object.entries(ALSO_GOOD))('accepts %s', async (_name, options) => {
  expect(codeOf((await pki.td1.issue(options)).certDer)).toBe('accepted')
})

describe('refuses', () => {
  test.each(Object.entries({ ...LEAF_DEFECTS, ...DER_DEFECTS }))('%s', async (_name, { code, issue }) => {
    expect(codeOf((await issue(pki)).certDer)).toBe(code)
  })

  test.each(Object.entries(MALFORMED))('%s', async (_name, { issue }) => {
    expect(codeOf((await issue(pki)).certDer)).toBe('client_certificate_profile_invalid')
  })

  test('a CA certificate, even with a path in its ID', async () => {
    const ca = await pki.td1.intermediate({
      uri: 'spiffe://td1.test/ca/a',
      keyUsage: ['digitalSignature', 'keyCertSign'],
    })
    expect(codeOf(ca.certDer)).toBe('client_certificate_profile_invalid')
  })

  test('bytes that are no certificate', async () => {
    const { certDer } = await pki.td1.issue({ uri: GOOD_ID })
    const changed = Buffer.from(certDer)
    changed[0] = 0x27
    for (const bytes of [Buffer.alloc(0), Buffer.from('hello'), changed, certDer.subarray(0, certDer.length - 1)]) {
      expect(codeOf(bytes)).toBe('client_certificate_profile_invalid')
    }
  })

  test('with a sentence that names the rule and nothing of the certificate', async () => {
    const { certDer } = await pki.td1.issue({ uri: 'spiffe://td1.test/<script>' })
    expect(() => parseSvid(certDer)).toThrow(
      'the URI SAN of the certificate is not a SPIFFE ID: path may hold only letters, digits, dot, dash and underscore (2.2)',
    )
  })
})

test('trust and time are not looked at here', async () => {
  for (const { issue } of Object.values(TRUST_DEFECTS)) expect(codeOf((await issue(pki)).certDer)).toBe('accepted')
})

test('no cut or changed byte of a certificate makes the parser throw anything but an AppError', async () => {
  const { certDer } = await pki.td1.issue({ san: [{ uri: GOOD_ID }, { dns: 'localhost' }] })
  const outcomes = new Set<string>()
  for (let at = 0; at < certDer.length; at++) {
    const changed = Buffer.from(certDer)
    changed[at] = changed[at]! ^ 0x81
    outcomes.add(codeOf(changed))
    outcomes.add(codeOf(certDer.subarray(0, at)))
  }
  expect(outcomes).not.toContain('not an AppError')
})

test('reads what a CA says', async () => {
  expect(readCertificate((await pki.td1.intermediate({ pathLength: 1 })).certDer)).toMatchObject({
    uris: ['spiffe://td1.test'],
    basicConstraints: { ca: true, pathLength: 1 },
    keyUsage: { keyCertSign: true, cRLSign: true, digitalSignature: false, critical: true },
    extendedKeyUsage: null,
    nameConstraints: null,
    selfIssued: false,
    hasUnknownCritical: false,
  })
})
