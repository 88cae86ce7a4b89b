import { describe, expect, test } from 'vitest'
import { createExpiryReport } from '../../../src/platform/tls/bundle-expiry.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'

const HOUR_MS = 3_600_000

describe('an expired certificate of a bundle', () => {
  test('is said once, when it is seen first or when it expires, and again when it comes back', async () => {
    const endMs = Math.floor(Date.now() / 1000) * 1000 + HOUR_MS
    const own = await createTestCa('own.test')
    const root = await createTestCa('td1.test', { subject: 'CN=root' })
    const intermediate = await root.intermediate({ subject: 'CN=issuing', notAfterMs: endMs })
    const gone = { subject: 'CN=gone', notBeforeMs: Date.now() - 2 * HOUR_MS, notAfterMs: endMs - 2 * HOUR_MS }
    const id = 'spiffe://own.test/controller'
    const { bundles } = await credentialsFor(own, id, root, intermediate, await createTestCa('td2.test', gone))
    const { bundles: others } = await credentialsFor(own, id)

    let nowMs = Date.now()
    const lines: object[] = []
    const report = createExpiryReport({ now: () => nowMs, log: { warn: (line: object) => void lines.push(line) } })
    const said = (fields: object) => ({ event: 'bundle_certificate_expired', ...fields })
    const goneLine = said({
      trust_domain: 'td2.test',
      subject: 'root "CN=gone"',
      not_after: new Date(endMs - 2 * HOUR_MS).toISOString(),
    })
    report(bundles)
    report(bundles)
    expect(lines).toEqual([goneLine])
    nowMs = endMs
    report(bundles)
    report(bundles)
    const ended = { subject: 'intermediate "CN=issuing"', not_after: new Date(endMs).toISOString() }
    expect(lines.slice(1)).toEqual([said({ trust_domain: 'td1.test', ...ended })])
    report(others)
    report(bundles)
    expect(lines).toHaveLength(4)
  })
})
