// A running process keeps its SPIFFE ID, whatever certificate is put in the place of its own.
import { expect, test } from 'vitest'
import { createLogger } from '../../../src/platform/logger.ts'
import { watchCredentials } from '../../../src/platform/tls/credentials.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { issueTo, tempDir } from '../../fixtures/pki/credential-files.ts'

const OWN = 'spiffe://td1.test/worker/a'
const OTHER = 'spiffe://td1.test/worker/b'
const log = createLogger({ level: 'silent', service: 'test' })

test('a good certificate of another identity is a fault; the next one of its own is taken over', async () => {
  await using dir = await tempDir()
  const ca = await createTestCa('td1.test')
  const source = await watchCredentials(await issueTo(dir.path, ca, 'own', OWN), { now: Date.now, log })
  const faults: string[] = []
  source.onFault(({ message }) => faults.push(message))
  const before = source.current()
  await issueTo(dir.path, ca, 'own', OTHER)
  await expect.poll(() => faults.length).toBe(1)
  expect(faults[0]).toContain(
    `own.crt: is for ${OTHER}, but this process is ${OWN}; put its own certificate there, or restart it as the other one`,
  )
  expect(source.current()).toBe(before)
  await issueTo(dir.path, ca, 'own', OWN)
  await expect.poll(() => source.current().generation).toBe(2)
  expect(source.current().spiffeId).toBe(OWN)
  source.close()
})
