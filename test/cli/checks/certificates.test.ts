// What `crank check` says about certificates and bundles.
import { describe, expect, test } from 'vitest'
import { checkCertificates } from '../../../src/cli/checks/certificates.ts'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { createTestCa, type TestCa } from '../../fixtures/pki/ca.ts'
import { tempDir, writeCredentials } from '../../fixtures/pki/credential-files.ts'

const ENDED = { notBeforeMs: Date.parse('2026-01-01T00:00:00Z'), notAfterMs: Date.parse('2026-01-02T03:04:05Z') }

async function findingsOf(issuer: TestCa, cas: TestCa[]): Promise<string[]> {
  await using dir = await tempDir()
  const issued = await issuer.issue({ uri: 'spiffe://td1.test/controller' })
  const files = await writeCredentials(dir.path, { name: 'own', issued, cas })
  const env = { CRANK_TLS_CERT: files.certFile, CRANK_TLS_KEY: files.keyFile, CRANK_TLS_BUNDLE: files.bundlePath }
  const state = { stateDir: dir.path, trustDomain: parseTrustDomain('td1.test') }
  const { findings } = await checkCertificates(state, env, Date.now)
  return findings.map((finding) => JSON.stringify(finding).replaceAll('\\"', "'"))
}

describe('crank check', () => {
  test('names an expired root and an expired intermediate of the bundle', async () => {
    const root = await createTestCa('td1.test', { subject: 'CN=root' })
    const old = await createTestCa('td1.test', { subject: 'CN=old root', ...ENDED })
    const issuing = await root.intermediate({ subject: 'CN=issuing', ...ENDED })
    const [own, ...bundle] = await findingsOf(root, [root, old, issuing])
    expect(own).toContain('spiffe://td1.test/controller')
    expect(bundle).toEqual([
      expect.stringMatching(/td1\.test\.pem: the root 'CN=old root' of td1\.test expired at 2026-01-02T03:04:05/),
      expect.stringMatching(
        /td1\.test\.pem: the intermediate 'CN=issuing' of td1\.test expired at 2026-01-02T03:04:05/,
      ),
    ])
    expect(bundle[0]).toContain('replace it by its successor, or remove it from the bundle')
  })

  test('says which issuer of the own certificate has expired', async () => {
    const old = await createTestCa('td1.test', { subject: 'CN=old root', ...ENDED })
    const [finding] = await findingsOf(old, [old])
    expect(finding).toContain("its issuer is not valid now: the root 'CN=old root' ended at 2026-01-02T03:04:05Z")
  })
})
