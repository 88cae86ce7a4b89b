// The second listener: what an operator and a scraper see, and what nobody else does.
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh({ env: { CRANK_ADMIN_ALLOWED_HOSTS: 'controller' } })
})
afterAll(() => mesh.close())

const askAs = (host: string, path: string) => request(mesh.adminOrigin + path, { headers: { host } })

const json = async (path: string) => {
  const { status, text } = await mesh.admin(path)
  return { status, body: JSON.parse(text) as Record<string, unknown> }
}

describe('the admin listener', () => {
  test('says that the process lives and that it is ready, with each check', async () => {
    expect(await json('/livez')).toEqual({ status: 200, body: { status: 'live' } })
    expect(await json('/readyz')).toEqual({
      status: 200,
      body: {
        status: 'ready',
        checks: ['policy', 'audit', 'certificate', 'lifecycle'].map((name) => ({ name, ok: true })),
      },
    })
    expect(await json('/health')).toMatchObject({
      status: 200,
      body: { status: 'ready', engine: 'opa-wasm', policy_revision: expect.stringMatching(/^[0-9a-f]{12}$/) },
    })
  })

  test('serves OpenMetrics, without exemplars where no span is exported', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    await mesh.route(
      STREAMING,
      { verb: 'convert', capability: 'document_to_pdf' },
      { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
    )
    const response = await fetch(`${mesh.adminOrigin}/metrics`)
    expect(response.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    const text = await response.text()
    expect(text.trimEnd()).toMatch(/# EOF$/)
    expect(text).toMatch(/^controller_policy_denials_total\{.*\} 1$/m)
    expect(text).not.toContain(traceId)
    for (const name of [
      'controller_policy_decisions_total',
      'controller_policy_eval_duration_seconds_bucket',
      'controller_svid_expiry_seconds',
      'controller_policy_revision_info',
      'controller_audit_records_total',
      'controller_registry_workers',
    ]) {
      expect(text).toContain(name)
    }
  })

  test('gives the routes of the mTLS listener as OpenAPI 3.1', async () => {
    const { body } = await json('/openapi.json')
    expect(body).toMatchObject({ openapi: '3.1.0' })
    expect(Object.keys(body['paths'] as object).sort()).toEqual([
      '/capabilities',
      '/deregister',
      '/heartbeat',
      '/register',
      '/route',
      '/route/{verb}/{capability}',
      '/workers',
    ])
  })

  for (const [host, status] of [
    ['localhost', 200],
    ['LOCALHOST:9001', 200],
    ['127.0.0.1:80', 200],
    ['192.0.2.7', 200],
    ['[::1]:9001', 200],
    ['[fe80::1]', 200],
    ['controller:9001', 200],
    ['Controller', 200],
    ['rebound.example:9001', 421],
    ['localhost.rebound.example', 421],
    ['127.0.0.1.rebound.example', 421],
    ['controller.rebound.example', 421],
    ['[::1].rebound.example', 421],
    ['0x7f000001', 421],
    ['2130706433', 421],
  ] as const) {
    test(`answers ${status} to the Host "${host}", whatever is asked`, async () => {
      for (const path of ['/readyz', '/workers', '/policy/data', '/metrics', '/nowhere']) {
        const answer = await askAs(host, path)
        const expected = status === 200 && path === '/nowhere' ? 404 : status
        expect({ path, status: answer.statusCode }).toEqual({ path, status: expected })
      }
    })
  }

  test('tells whoever used another name what to do', async () => {
    const answer = await askAs('rebound.example', '/workers')
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(await answer.body.json()).toMatchObject({
      error: 'host_not_allowed',
      status: 421,
      reason: expect.stringContaining('CRANK_ADMIN_ALLOWED_HOSTS'),
    })
  })

  test('answers an unknown path by naming the known ones', async () => {
    expect(await json('/route')).toMatchObject({
      status: 404,
      body: { error: 'not_found', reason: expect.stringContaining('/readyz') },
    })
  })

  for (const path of ['/livez', '/readyz', '/health', '/metrics', '/workers', '/openapi.json']) {
    test(`answers HEAD ${path} like GET, without the body`, async () => {
      const head = await fetch(mesh.adminOrigin + path, { method: 'HEAD' })
      const get = await fetch(mesh.adminOrigin + path)
      expect(head.status).toBe(200)
      expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'))
      expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0)
      expect(await head.text()).toBe('')
      await get.text()
    })
  }

  const refused: Record<string, [string, string, RequestInit, object]> = {
    'another method': ['/readyz', 'DELETE', {}, { status: 405, error: 'method_not_allowed' }],
    'malformed JSON on an unknown path': ['/no', 'POST', { body: '{' }, { status: 404, error: 'not_found' }],
    'a path that cannot be read': ['/%zz', 'GET', {}, { status: 400, error: 'request_invalid' }],
    'malformed JSON': ['/policy/ask', 'POST', { body: '{' }, { error: 'request_invalid' }],
    text: ['/policy/ask', 'POST', { headers: { 'content-type': 'text/plain' } }, { error: 'unsupported_media_type' }],
  }
  for (const [name, [path, method, init, problem]] of Object.entries(refused)) {
    test(`refuses ${name} with a problem`, async () => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(mesh.adminOrigin + path, { method, headers, ...init })
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect(await answer.json()).toMatchObject(problem)
      expect(answer.headers.get('allow')).toBe(answer.status === 405 ? 'GET, HEAD' : null)
    })
  }

  test('refuses bytes that are not HTTP with a problem', async () => {
    const socket = connect(mesh.controller.adminPort, '127.0.0.1')
    socket.write('garbage\r\n\r\n')
    const received = await text(socket)
    expect(received).toMatch(/^HTTP\/1\.1 400 /)
    expect(received).toContain('application/problem+json')
  })
})
