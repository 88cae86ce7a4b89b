// Shipping over TLS: the collector is verified by the CA that was set, and a certificate of ours is presented if there is one.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { decisions, makeChain, type MadeChain } from '../../fixtures/audit-segments.ts'
import { startLogsReceiver, type LogsReceiver } from '../../fixtures/otlp-logs-receiver.ts'
import { createTestCa, type Issued, type TestCa } from '../../fixtures/pki/ca.ts'
import { until } from '../../fixtures/until.ts'
import { ship } from './support.ts'

let ca: TestCa
let collector: Issued
let own: Issued
beforeAll(async () => {
  ca = await createTestCa('collectors.test')
  collector = await ca.issue({ dns: ['localhost'], ips: ['127.0.0.1'] })
  own = await ca.issue({ dns: ['controller'] })
})

async function started(): Promise<{
  chain: MadeChain
  receiver: LogsReceiver
  files: (name: string, pem: string) => Promise<string>
}> {
  const chain = await makeChain()
  await chain.add(...decisions(2))
  const tls = { cert: collector.chainPem, key: collector.keyPem, ca: ca.certPem }
  const files = async (name: string, pem: string): Promise<string> => {
    const file = join(chain.auditDir, name)
    await writeFile(file, pem)
    return file
  }
  return { chain, receiver: await startLogsReceiver({ tls }), files }
}

test('with the CA and a certificate, everything arrives', async () => {
  const { chain, receiver, files } = await started()
  const env = {
    CERTIFICATE: await files('ca.pem', ca.certPem),
    CLIENT_CERTIFICATE: await files('own.pem', own.chainPem),
    CLIENT_KEY: await files('own.key', own.keyPem),
  }
  ship(chain, receiver.url, { env })
  await receiver.waitForBodies(2)
})

test('a collector of another CA gets nothing, until the CA file is replaced by its own', async () => {
  const { chain, receiver, files } = await started()
  const other = await createTestCa('collectors.test')
  const env = {
    CERTIFICATE: await files('ca.pem', other.certPem),
    CLIENT_CERTIFICATE: await files('own.pem', own.chainPem),
    CLIENT_KEY: await files('own.key', own.keyPem),
  }
  const { said } = ship(chain, receiver.url, { env })
  await until('it has failed', () => said.length > 0)
  expect(said[0]).toMatchObject({
    event: 'audit_ship_failed',
    reason: expect.stringMatching(/SELF_SIGNED|UNABLE_TO/) as string,
  })
  expect(receiver.seen).toEqual([])
  await files('ca.pem', ca.certPem)
  await receiver.waitForBodies(2)
})

test('a CA file that is not there is said', async () => {
  const { chain, receiver } = await started()
  const { said } = ship(chain, receiver.url, { env: { CERTIFICATE: join(chain.auditDir, 'none.pem') } })
  await until('it has failed', () => said.length > 0)
  expect(said[0]).toMatchObject({ reason: expect.stringContaining('ENOENT') as string })
})
