// The identity gate stands before everything: every route that is registered, and everything that is none.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { IdentityErrorCode } from '../../src/core/errors.ts'
import { startMesh, STREAMING, TRUST_DOMAIN, type Mesh } from '../fixtures/mesh.ts'
import { createTestCa, type Issued, type IssueOptions } from '../fixtures/pki/ca.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine } from '../fixtures/audit-log.ts'

type Request = { readonly name: string; readonly text: string }
type Refusal = { readonly status: string; readonly headers: string; readonly body: string; readonly decisionId: string }

const routes: { method: string; url: string }[] = []
/** Told of every Fastify instance before its first route: the TLS one is the listener for workers. */
const watch = (message: unknown): void => {
  const { fastify } = message as { fastify: FastifyInstance }
  if (fastify.initialConfig.https === undefined) return
  fastify.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push({ method: one, url })
  })
}

let mesh: Mesh
beforeAll(async () => {
  subscribe('fastify.initialization', watch)
  mesh = await startMesh()
  unsubscribe('fastify.initialization', watch)
})
afterAll(() => mesh.close())

function request(method: string, path: string, body = '', headers = ''): Request {
  const text = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`
  return { name: `${method} ${path} ${headers.trim()} ${body.slice(0, 20)}`.trim(), text }
}

/** Sends it with this client certificate or none, and reads until the controller has closed the connection. */
async function refusalOf({ text }: Request, certificate?: Issued): Promise<Refusal> {
  const received = await exchange(await openTls(mesh, certificate), text)
  const [head = '', body = ''] = received.split('\r\n\r\n')
  const decisionId = /x-decision-id: (\S+)/i.exec(head)?.[1] ?? ''
  return { status: head.slice(0, 12), headers: head.toLowerCase(), body, decisionId }
}

const refusals = (lines: AuditLine[]): AuditLine[] => lines.filter(({ event }) => event === 'identity_refused')
const refused = async (): Promise<number> =>
  refusals(await mesh.audit())
    .filter((line) => line['error'] === 'client_certificate_required')
    .reduce((sum, line) => sum + (line['count'] as number), 0)
async function counted(reason: IdentityErrorCode): Promise<number> {
  const { text } = await mesh.admin('/metrics')
  return Number(new RegExp(`controller_identity_refused_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1])
}

const JSON_TYPE = 'Content-Type: application/json\r\n'

function everything(): Request[] {
  const paths = [...new Set(routes.map(({ url }) => url.replaceAll(/:\w+/g, 'x')))]
  return [
    ...routes.map(({ method, url }) => request(method, url.replaceAll(/:\w+/g, 'x'), '{}', JSON_TYPE)),
    ...paths.map((path) => request('OPTIONS', path)),
    ...paths.map((path) => request('HEAD', path)),
    request('GET', '/'),
    request('GET', '/no/such/route'),
    request('GET', '/metrics'),
    request('GET', '/livez'),
    request('TRACE', '/route'),
    request('PROPFIND', '/route'),
    request('GET', '/%zz'),
    request('GET', '/../../etc/passwd'),
    request('GET', '//route'),
    request('POST', '/route', '{"verb":', JSON_TYPE),
    request('POST', '/route', 'x'.repeat(4096), 'Content-Type: text/plain\r\n'),
    request('POST', '/route', '{}', `${JSON_TYPE}Idempotency-Key: a\r\nIdempotency-Key: b\r\n`),
    request('POST', '/route', '{}', `${JSON_TYPE}X-Forwarded-Client-Cert: By=spiffe://crank.local/controller\r\n`),
    request('GET', '/workers', '', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    { name: 'HTTP/1.0', text: 'GET /workers HTTP/1.0\r\nHost: localhost\r\n\r\n' },
  ]
}

test('all routes of the listener for workers are known to this walk', () => {
  expect(routes.map(({ method, url }) => `${method} ${url}`).sort()).toEqual([
    'GET /capabilities',
    'GET /workers',
    'POST /deregister',
    'POST /heartbeat',
    'POST /register',
    'POST /route',
    'POST /route/:verb/:capability',
  ])
})

test('whatever is asked without a certificate is answered 401, recorded once, counted, and the connection ends', async () => {
  const seen: string[] = []
  for (const asked of everything()) {
    const { status, headers, body, decisionId } = await refusalOf(asked)
    expect.soft(status, asked.name).toBe('HTTP/1.1 401')
    expect.soft(headers, asked.name).toContain('connection: close')
    expect.soft(headers, asked.name).toContain('application/problem+json')
    expect
      .soft(body, asked.name)
      .toMatch(asked.text.startsWith('HEAD') ? /^$/ : /"error":"client_certificate_required"/)
    seen.push(decisionId)
  }
  await until('all refusals are recorded', async () => (await refused()) === seen.length)
  const records = refusals(await mesh.audit())
  expect(records.map((line) => line['decision_id'] as string).sort()).toEqual(seen.sort())
  expect(new Set(records.map((line) => line['error'] as string))).toEqual(new Set(['client_certificate_required']))
  expect(await counted('client_certificate_required')).toBe(seen.length)
})

const uri = `spiffe://${TRUST_DOMAIN}/${STREAMING}`
const day = 86_400_000
/** Revocation lists come only from a Workload API: workload-api.test.ts refuses a revoked certificate. */
type Faulty = Exclude<IdentityErrorCode, 'client_certificate_required' | 'client_certificate_revoked'>
const faulty: Record<Faulty, () => Promise<Issued>> = {
  client_certificate_untrusted: async () => (await createTestCa(TRUST_DOMAIN)).issue({ uri }),
  client_certificate_expired: issue({ uri, notBeforeMs: Date.now() - 2 * day, notAfterMs: Date.now() - day }),
  client_certificate_not_yet_valid: issue({ uri, notBeforeMs: Date.now() + day, notAfterMs: Date.now() + 2 * day }),
  client_certificate_profile_invalid: issue({ uri, ca: true }),
  spiffe_id_not_found_in_certificate: issue({ san: [{ dns: 'localhost' }] }),
  spiffe_id_invalid: issue({ san: [{ uri }, { uri: `${uri}-2` }] }),
}
function issue(options: IssueOptions): () => Promise<Issued> {
  return () => mesh.ca.issue(options)
}

for (const [code, certificate] of Object.entries(faulty) as [IdentityErrorCode, () => Promise<Issued>][]) {
  test(`a certificate at fault is answered 401 ${code}, recorded and counted under that reason`, async () => {
    const { status, body, decisionId } = await refusalOf(request('GET', '/workers'), await certificate())
    expect(status).toBe('HTTP/1.1 401')
    expect(JSON.parse(body)).toMatchObject({ error: code, decision_id: decisionId })
    const record = await mesh.auditedAs((line) => line['decision_id'] === decisionId)
    expect(record).toMatchObject({ event: 'identity_refused', error: code, count: 1 })
    expect(await counted(code)).toBe(1)
  })
}

test('beyond the budget of records, refusals are recorded as a number: none is lost', async () => {
  const before = await refused()
  const { text, name } = request('GET', '/workers')
  for (let round = 0; round < 4; round++) {
    const burst = await Promise.all(Array.from({ length: 50 }, () => refusalOf({ text, name })))
    expect(burst.filter(({ status }) => status !== 'HTTP/1.1 401')).toEqual([])
  }
  await until('all refusals are recorded', async () => (await refused()) === before + 200)
  expect(await counted('client_certificate_required')).toBe(before + 200)
})
