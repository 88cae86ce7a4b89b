// A single certificate on the block list: refused within a second, on open connections too, in both directions.
import { X509Certificate } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { readCertificate } from '../../src/platform/svid/certificate-facts.ts'
import { greets, startFakeWorker } from '../fakes/worker.ts'
import { replaceFile } from '../fixtures/live-policy.ts'
import { HELLO, startMesh, STREAMING, TRUST_DOMAIN, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

const CALL = { verb: 'invoke', capability: 'hello_world', payload: { message: 'hi' } }

let policies: PolicyDir
let mesh: Mesh
beforeAll(async () => {
  policies = await copyPolicies()
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
})
afterEach(async () => {
  await block([])
  await until('nothing is blocked', async () => (await statusOf(STREAMING)) === 200)
})
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

async function block(certificates: readonly string[]): Promise<void> {
  const entries = Object.fromEntries(certificates.map((key) => [key, 'the key was stolen']))
  const blocked = { identities: {}, capabilities: {}, certificates: entries }
  await replaceFile(policies.dir, 'data/blocked.json', JSON.stringify({ blocked }))
}

async function statusOf(who: string): Promise<number> {
  return (await mesh.request(who, { path: '/workers' })).status
}

async function keysOf(who: string): Promise<{ sha256: string; serial: string }> {
  const certificate = new X509Certificate((await mesh.identity(who)).chainPem)
  const { issuerKeyId } = readCertificate(certificate.raw)
  return {
    sha256: `sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
    serial: `${issuerKeyId}:${certificate.serialNumber.toLowerCase()}`,
  }
}

test.each(['sha256', 'serial'] as const)(
  'a certificate blocked by %s is refused, open or new connection',
  async (by) => {
    const { [by]: key, sha256 } = await keysOf(STREAMING)
    expect(await statusOf(STREAMING)).toBe(200) // the connection stays open
    await block([key])
    const from = performance.now()
    await until('the open connection is refused', async () => (await statusOf(STREAMING)) === 403)
    expect(performance.now() - from).toBeLessThan(2000)
    const answer = await exchange(
      await openTls(mesh, STREAMING),
      'GET /workers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    const problem = JSON.parse(answer.slice(answer.indexOf('{'))) as Record<string, string>
    expect(problem).toMatchObject({
      error: 'capability_access_denied',
      reason_code: 'certificate_blocked',
      reason: expect.stringContaining(`Certificate ${sha256} is blocked`) as unknown,
    })
    const record = await mesh.auditedAs((line) => line['decision_id'] === problem['decision_id'])
    expect(record).toMatchObject({
      event: 'policy_decision',
      decision: 'deny',
      engine: 'controller',
      requester_spiffe_id: `spiffe://${TRUST_DOMAIN}/${STREAMING}`,
      reasons: [{ code: 'certificate_blocked', message: expect.stringContaining(sha256) as unknown }],
    })
    expect(await statusOf(HELLO)).toBe(200)
    const changed = await mesh.auditedAs((line) => JSON.stringify(line['changed'] ?? '').includes(`+${key}`))
    expect(changed).toMatchObject({ event: 'policy_changed', changed: { blocked_certificates: { added: 1 } } })
  },
)

test('a worker with a blocked certificate gets no more calls, on an open connection neither', async () => {
  const worker = await startFakeWorker(mesh, greets)
  try {
    expect((await worker.register()).status).toBe(200)
    expect((await mesh.route(STREAMING, CALL)).status).toBe(200)
    await block([(await keysOf(HELLO)).sha256])
    await until('the block is in force', async () => (await statusOf(HELLO)) === 403)
    const seen = worker.seen.length
    const answer = await mesh.route(STREAMING, CALL)
    expect(answer.status).toBe(502)
    expect(answer.body).toMatchObject({ error: 'worker_failed' })
    expect(worker.seen).toHaveLength(seen)
  } finally {
    await worker.close()
  }
})
