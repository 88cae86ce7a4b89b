// The server follows the credentials on disk: connections that lose their trust end, rotation loses no request.
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { pino } from 'pino'
import { Pool } from 'undici'
import { beforeAll, expect, test } from 'vitest'
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts'
import { watchCredentials } from '../../../src/platform/tls/credentials.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import { createPinnedConnector } from '../../../src/platform/tls/tls.ts'
import type { Issued } from '../../fixtures/pki/ca.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { credentialsFor, issueTo, tempDir, writeCredentials } from '../../fixtures/pki/credential-files.ts'
import { createTestPki, GOOD_ID, type TestPki } from '../../fixtures/pki/defects.ts'
import { startGatedApp } from '../../fixtures/pki/gated-app.ts'
import { createLiveSource } from '../../fixtures/pki/live-source.ts'
import { connectTo } from '../../fixtures/pki/tls-peers.ts'

const CONTROLLER = parseSpiffeId('spiffe://td1.test/controller')
let pki: TestPki
beforeAll(async () => {
  pki = await createTestPki()
})

async function open(port: number, issued: Issued | undefined): Promise<TLSSocket> {
  const socket = connectTo(port, issued).resume()
  await once(socket, 'secureConnect')
  return socket
}

test('open connections of a removed CA end at once, in the middle of a request too; others stay', async () => {
  await using app = await startGatedApp(await credentialsFor(pki.td1, CONTROLLER, pki.td2))
  const removed = await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' })
  const below = await (await pki.td2.intermediate()).issue({ uri: 'spiffe://td2.test/worker/c' })
  const leaving = [await open(app.port, removed), await open(app.port, below), await open(app.port, undefined)]
  leaving[0]!.write('POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{')
  const staying = [
    await open(app.port, await pki.td1.issue({ uri: GOOD_ID })),
    await open(app.port, await (await pki.td1.intermediate()).issue({ uri: GOOD_ID })),
  ]
  await expect.poll(app.keeper.count).toBe(5)
  app.source.set(await credentialsFor(pki.td1, CONTROLLER))
  await expect.poll(() => leaving.map(({ closed }) => closed)).toEqual([true, true, true])
  expect(staying.map(({ closed }) => closed)).toEqual([false, false])
  expect(app.keeper.count()).toBe(2)
  for (const socket of staying) socket.destroy()
  await expect.poll(app.keeper.count).toBe(0)
})

test('new handshakes get the new certificate and the new bundles, still TLS 1.3 only and without resumption', async () => {
  await using app = await startGatedApp(await credentialsFor(pki.td1, CONTROLLER))
  const issued = await pki.td1.issue({ uri: GOOD_ID })
  const before = await open(app.port, issued)
  app.source.set(await credentialsFor(pki.td1, CONTROLLER, pki.td2))
  const after = await open(app.port, await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' }))
  expect(after.getPeerX509Certificate()!.fingerprint256).not.toBe(before.getPeerX509Certificate()!.fingerprint256)
  expect(after.getProtocol()).toBe('TLSv1.3')
  after.write('GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  const [chunk] = (await once(after, 'data')) as [Buffer]
  expect(chunk.toString()).toContain('200 OK')
  before.destroy()
})

test('a keeper that was closed leaves connections and the server alone', async () => {
  await using app = await startGatedApp(await credentialsFor(pki.td1, CONTROLLER, pki.td2))
  const socket = await open(app.port, await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' }))
  app.keeper.close()
  app.source.set(await credentialsFor(pki.td1, CONTROLLER))
  expect(socket.closed).toBe(false)
  socket.destroy()
})

test('fifty rotations of both sides under load: no failed request', async () => {
  await using app = await startGatedApp(await credentialsFor(pki.td1, CONTROLLER))
  const client = createLiveSource(await credentialsFor(pki.td1, GOOD_ID))
  const connect = createPinnedConnector({
    source: client,
    verifier: createPeerVerifier({ now: Date.now }),
    expected: CONTROLLER,
  })
  const pool = new Pool(`https://127.0.0.1:${app.port}`, { connect, connections: 8, pipelining: 1 })
  const statuses = new Map<number, number>()
  let running = true
  const callers = Array.from({ length: 8 }, async () => {
    while (running) {
      const { statusCode, body } = await pool.request({ method: 'GET', path: '/who' })
      await body.dump()
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    }
  })
  for (let rotation = 0; rotation < 50; rotation++) {
    const answered = statuses.get(200) ?? 0
    app.source.set(await credentialsFor(pki.td1, CONTROLLER))
    client.set(await credentialsFor(pki.td1, GOOD_ID))
    await expect.poll(() => statuses.get(200) ?? 0, { interval: 1 }).toBeGreaterThan(answered)
  }
  running = false
  await Promise.all(callers)
  await pool.destroy()
  expect([...statuses.keys()]).toEqual([200])
})

test('a CA is rolled over on disk as operators do it (both, then the new one), without a failed request', async () => {
  await using dir = await tempDir()
  const next = await createTestCa('td1.test')
  const source = await watchCredentials(await issueTo(dir.path, pki.td1, 'controller', CONTROLLER), {
    now: Date.now,
    log: pino({ level: 'silent' }),
    pace: { netMs: 10, againMs: 10 },
  })
  await using app = await startGatedApp(source.current())
  source.onChange((credentials) => app.source.set(credentials))
  const client = createLiveSource(await credentialsFor(pki.td1, GOOD_ID))
  const connect = createPinnedConnector({
    source: client,
    verifier: createPeerVerifier({ now: Date.now }),
    expected: CONTROLLER,
  })
  const pool = new Pool(`https://127.0.0.1:${app.port}`, { connect, connections: 1 })
  const call = async (): Promise<number> => {
    const { statusCode, body } = await pool.request({ method: 'GET', path: '/who' })
    await body.dump()
    return statusCode
  }
  const roll = async (ca: typeof next, cas: (typeof next)[]): Promise<void> => {
    const { generation } = source.current()
    await writeCredentials(dir.path, { name: 'controller', issued: await ca.issue({ uri: CONTROLLER }), cas })
    await expect.poll(() => source.current().generation, { timeout: 5000 }).toBeGreaterThan(generation)
  }
  expect(await call()).toBe(200)
  await roll(pki.td1, [pki.td1, next])
  expect(await call()).toBe(200)
  const both = await credentialsFor(next, GOOD_ID)
  client.set({ ...both, bundles: source.current().bundles, caPem: source.current().caPem })
  expect(await call()).toBe(200)
  await pool.close()
  await roll(next, [next])
  const renewed = new Pool(`https://127.0.0.1:${app.port}`, { connect, connections: 1 })
  const { statusCode, body } = await renewed.request({ method: 'GET', path: '/who' })
  expect(statusCode).toBe(200)
  await body.dump()
  await renewed.destroy()
  source.close()
})
