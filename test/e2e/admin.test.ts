// The second listener: what an operator and a scraper see, and what nobody else does.
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
    const answer = await askAs('rebound.example', '/policy/data')
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
})
