// The identity gate over real TLS and Fastify: every cause of 401, what it stands before, and how it treats connections.
import { Agent, request, type RequestOptions } from 'node:https'
import { request as plainRequest } from 'node:http'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import Fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identityGate } from '../../../src/controller/identity/gate.ts'
import type { Credentials } from '../../../src/platform/tls/credentials.ts'
import { createPeerVerifier } from '../../../src/platform/svid/verify.ts'
import type { Issued } from '../../fixtures/pki/ca.ts'
import { credentialsFor } from '../../fixtures/pki/credential-files.ts'
import {
  createTestPki,
  GOOD_ID,
  DER_DEFECTS,
  LEAF_DEFECTS,
  MALFORMED,
  TRUST_DEFECTS,
  type TestPki,
} from '../../fixtures/pki/defects.ts'
import { anyNumber, startGatedApp, type GatedApp } from '../../fixtures/pki/gated-app.ts'
import { createLiveSource } from '../../fixtures/pki/live-source.ts'

let pki: TestPki
let credentials: Credentials
let gated: GatedApp
let good: Issued
const cleanup = new AsyncDisposableStack()
beforeAll(async () => {
  pki = await createTestPki()
  credentials = await credentialsFor(pki.td1, 'spiffe://td1.test/controller', pki.td2)
  gated = cleanup.use(await startGatedApp(credentials))
  good = await pki.td1.issue({ uri: GOOD_ID })
})
afterAll(() => cleanup.disposeAsync())

type Answer = {
  readonly status: number
  readonly json: { error?: string; peer?: string | null }
  readonly close: boolean
  readonly socket: Socket
}

function agentOf(certificate: Issued | undefined): Agent & Disposable {
  const own = certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0, rejectUnauthorized: false, ...own })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

async function ask(port: number, agent: Agent, options: RequestOptions = {}, body?: string): Promise<Answer> {
  const req = request({ host: '127.0.0.1', port, agent, path: '/who', ...options }).end(body)
  const [response] = (await once(req, 'response')) as [IncomingMessage]
  const { socket } = response // gone once the answer has ended
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string
  const close = response.headers.connection === 'close'
  return { status: response.statusCode!, json: JSON.parse(text) as Answer['json'], close, socket }
}

async function askOnce(certificate: Issued | undefined, options: RequestOptions = {}, body?: string): Promise<Answer> {
  using agent = agentOf(certificate)
  return await ask(gated.port, agent, options, body)
}

describe('lets through', () => {
  test('a good SVID, and says who it is', async () => {
    expect(await askOnce(good)).toMatchObject({ status: 200, json: { peer: GOOD_ID }, close: false })
  })

  test('a federated one, and one below intermediates', async () => {
    const federated = await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' })
    expect((await askOnce(federated)).json.peer).toBe('spiffe://td2.test/worker/b')
    const below = await (await (await pki.td1.intermediate()).intermediate()).issue({ uri: GOOD_ID })
    expect((await askOnce(below)).json.peer).toBe(GOOD_ID)
  })

  test('many requests on one connection', async () => {
    using agent = agentOf(good)
    const answers = [await ask(gated.port, agent), await ask(gated.port, agent), await ask(gated.port, agent)]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  })
})

describe('refuses with 401, a code, and the end of the connection', () => {
  test('no certificate', async () => {
    const answer = await askOnce(undefined)
    expect(answer).toMatchObject({
      status: 401,
      json: { error: 'client_certificate_required', peer: null },
      close: true,
    })
  })

  test.each(Object.entries({ ...LEAF_DEFECTS, ...DER_DEFECTS, ...MALFORMED, ...TRUST_DEFECTS }))(
    '%s',
    async (_name, { code, issue }) => {
      const answer = await askOnce(await issue(pki))
      expect(answer).toMatchObject({ status: 401, json: { error: code, peer: null }, close: true })
    },
  )
})

describe('stands before', () => {
  test.each<[string, RequestOptions, string | undefined]>([
    ['a route that does not exist', { path: '/nowhere' }, undefined],
    ['a method that a route does not take', { method: 'DELETE' }, undefined],
    ['OPTIONS *', { method: 'OPTIONS', path: '*' }, undefined],
    ['a malformed body', { method: 'POST', path: '/json', headers: { 'content-type': 'application/json' } }, '{"a":'],
    [
      'a body that does not fit its schema',
      { method: 'POST', path: '/json', headers: { 'content-type': 'application/json' } },
      '{}',
    ],
    ['a content type nobody parses', { method: 'POST', path: '/json', headers: { 'content-type': 'text/x' } }, 'x'],
  ])('%s', async (_name, options, body) => {
    expect(await askOnce(undefined, options, body)).toMatchObject({
      status: 401,
      json: { error: 'client_certificate_required' },
    })
    const known = await askOnce(good, options, body)
    expect(known.status).toBeGreaterThanOrEqual(400)
    expect(known.status).not.toBe(401)
  })

  test('the body: it is answered though the body never comes', async () => {
    using agent = agentOf(undefined)
    const headers = { 'content-type': 'application/json', 'content-length': 1_000_000 }
    const req = request({ host: '127.0.0.1', port: gated.port, agent, method: 'POST', path: '/json', headers }).on(
      'error',
      () => undefined,
    )
    req.flushHeaders()
    const [response] = (await once(req, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(401)
    req.destroy()
  })
})

test('a server without TLS lets nobody in', async () => {
  const app = Fastify()
  await app.register(identityGate, {
    source: createLiveSource(credentials),
    verifier: createPeerVerifier({ now: Date.now }),
    now: Date.now,
    connections: anyNumber(),
  })
  app.get('/who', () => 'hello')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const [response] = (await once(plainRequest({ host: '127.0.0.1', port, path: '/who' }).end(), 'response')) as [
    IncomingMessage,
  ]
  expect(response.resume().statusCode).toBe(500)
  await app.close()
})

describe('on an open connection', () => {
  const endMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000

  test('a certificate that has expired since is refused, and the connection ends', async () => {
    let nowMs = Date.now()
    await using app = await startGatedApp(credentials, { now: () => nowMs })
    using agent = agentOf(await pki.td1.issue({ uri: GOOD_ID, notAfterMs: endMs }))
    const first = await ask(app.port, agent)
    nowMs = endMs
    const second = await ask(app.port, agent)
    expect(first).toMatchObject({ status: 200, close: false })
    expect(second.socket === first.socket).toBe(true)
    expect(second).toMatchObject({ status: 401, json: { error: 'client_certificate_expired' }, close: true })
  })

  test('an issuer that has expired since ends the trust in its leaves, and is named', async () => {
    let nowMs = Date.now()
    await using app = await startGatedApp(credentials, { now: () => nowMs })
    using agent = agentOf(await (await pki.td1.intermediate({ notAfterMs: endMs })).issue({ uri: GOOD_ID }))
    expect((await ask(app.port, agent)).status).toBe(200)
    nowMs = endMs
    expect((await ask(app.port, agent)).json.error).toBe('client_certificate_expired')
  })

  test('is retired before its certificate expires, without a failed request', async () => {
    let nowMs = Date.now()
    await using app = await startGatedApp(credentials, { now: () => nowMs })
    using agent = agentOf(await pki.td1.issue({ uri: GOOD_ID, notAfterMs: endMs }))
    const first = await ask(app.port, agent)
    nowMs += (endMs - nowMs) * 0.75
    const kept = await ask(app.port, agent)
    nowMs += (endMs - nowMs) * 0.75
    const retired = await ask(app.port, agent)
    const next = await ask(app.port, agent)
    expect([first, kept, retired, next].map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect([first, kept, retired, next].map(({ close }) => close)).toEqual([false, false, true, false])
    expect(next.socket === first.socket).toBe(false)
  })

  test('is retired before our own certificate of its handshake expires', async () => {
    let nowMs = Date.now()
    await using app = await startGatedApp({ ...credentials, notAfterMs: nowMs + 60_000 }, { now: () => nowMs })
    using agent = agentOf(good)
    expect((await ask(app.port, agent)).close).toBe(false)
    nowMs += 55_000
    expect(await ask(app.port, agent)).toMatchObject({ status: 200, close: true })
  })

  test('is retired soon after our own certificate was replaced, since its CA may go next', async () => {
    let nowMs = Date.now()
    await using app = await startGatedApp(credentials, { now: () => nowMs })
    using agent = agentOf(good)
    const first = await ask(app.port, agent)
    app.source.set(await credentialsFor(pki.td1, 'spiffe://td1.test/controller'))
    await ask(app.port, agent)
    nowMs += 2000
    using later = agentOf(good)
    const other = await ask(app.port, later)
    const [retired, next] = [await ask(app.port, agent), await ask(app.port, agent)]
    expect([first, other, next].map(({ close }) => close)).toEqual([false, false, false])
    expect(retired).toMatchObject({ status: 200, close: true })
    nowMs += 60_000
    expect((await ask(app.port, agent)).socket === next.socket).toBe(true)
  })

  test('is verified again under every new set of bundles', async () => {
    await using app = await startGatedApp(credentials)
    app.keeper.close() // the gate alone
    using agent = agentOf(await pki.td2.issue({ uri: 'spiffe://td2.test/worker/b' }))
    const first = await ask(app.port, agent)
    app.source.set(await credentialsFor(pki.td1, 'spiffe://td1.test/controller'))
    const second = await ask(app.port, agent)
    expect([first.status, second.status]).toEqual([200, 401])
    expect(second.socket === first.socket).toBe(true)
    expect(second.json.error).toBe('client_certificate_untrusted')
  })
})
