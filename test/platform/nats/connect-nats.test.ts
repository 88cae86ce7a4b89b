// Whom a connection to NATS believes: only a server of the expected SPIFFE ID, none of whose certificates is revoked.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startNats, type NatsCluster } from '../../../scripts/lab/nats-server.ts'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { connectNats } from '../../../src/platform/nats/connect-nats.ts'
import { createRevocations, NO_REVOCATIONS } from '../../../src/platform/svid/revocations.ts'
import { loadCredentials, type Credentials } from '../../../src/platform/tls/credentials.ts'
import { receivedSvid, sentSvid } from '../../../src/platform/tls/sent-svid.ts'
import { createParties, TRUST_DOMAIN, type Parties } from '../../fixtures/parties.ts'
import type { Issued, TestCa } from '../../fixtures/pki/ca.ts'
import { writeCredentials } from '../../fixtures/pki/credential-files.ts'
import { crlOf } from '../../fixtures/pki/crl.ts'

const ID = parseSpiffeId(`spiffe://${TRUST_DOMAIN}/nats`)

let parties: Parties
let own: Credentials
let between: TestCa
let server: Issued
let nats: NatsCluster
beforeAll(async () => {
  parties = await createParties()
  own = await loadCredentials(await parties.filesOf('controller'), Date.now)
  between = await parties.ca.intermediate()
  server = await between.issue({ uri: ID, dns: ['localhost'], ips: ['127.0.0.1'] })
  const tls = await writeCredentials(join(parties.dir, 'pki'), { name: 'nats', issued: server, cas: [parties.ca] })
  const user = `{ user: "spiffe://${TRUST_DOMAIN}/controller" }`
  nats = await startNats({ dir: join(parties.dir, 'nats'), tls, routeUser: ID, users: [user] })
})
afterAll(async () => {
  await nats[Symbol.asyncDispose]()
  await parties.close()
})

async function connectedTo(id = ID, ...lists: Buffer[]): Promise<string> {
  const revocations = lists.length === 0 ? NO_REVOCATIONS : createRevocations(lists)
  // As the thread that ships has it.
  const svid = receivedSvid(structuredClone(sentSvid({ ...own, revocations })))
  const servers = [`127.0.0.1:${nats.servers[0]!.port}`]
  const target = { servers, isTls: true, id, replicas: 1 }
  const nc = await connectNats({ target, source: { current: () => svid }, name: 'test', isOnce: true })
  const name = nc.info?.server_name ?? ''
  await nc.close()
  return name
}

describe('a NATS server below an intermediate', () => {
  test('is believed without lists, and with lists that do not name it', async () => {
    expect(await connectedTo()).toBe('n1')
    expect(await connectedTo(ID, await crlOf(parties.ca, []), await crlOf(between, []))).toBe('n1')
  })

  test('of another SPIFFE ID is refused', async () => {
    const other = parseSpiffeId(`spiffe://${TRUST_DOMAIN}/other`)
    await expect(connectedTo(other)).rejects.toThrow(`the NATS server is ${ID}, not ${other}`)
  })

  test('whose certificate is revoked is refused', async () => {
    await expect(connectedTo(ID, await crlOf(between, [server]))).rejects.toThrow(
      'the NATS server is refused: the leaf is on a revocation list of its issuer',
    )
  })

  test('whose intermediate is revoked is refused', async () => {
    await expect(connectedTo(ID, await crlOf(parties.ca, [between]))).rejects.toThrow(
      /the NATS server is refused: the intermediate .* is on a revocation list of its issuer/,
    )
  })
})
