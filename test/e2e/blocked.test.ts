// The emergency brake at the door: a blocked identity gets 403 on every route, before a body is read, and it is recorded.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crank } from '../cli/crank.ts'
import { blockedJson } from '../fixtures/live-policy.ts'
import { HELLO, startMesh, STREAMING, TRUST_DOMAIN, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

const ID = `spiffe://${TRUST_DOMAIN}/${STREAMING}`

let policies: PolicyDir
let mesh: Mesh
beforeAll(async () => {
  policies = await copyPolicies({ 'data/blocked.json': blockedJson(ID) })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
})
afterAll(async () => {
  await mesh.close()
  await policies[Symbol.asyncDispose]()
})

const REQUESTS = [
  ['POST', '/route'],
  ['POST', '/route/stream/text_events'],
  ['POST', '/register'],
  ['POST', '/heartbeat'],
  ['POST', '/deregister'],
  ['GET', '/workers'],
  ['GET', '/capabilities'],
  ['GET', '/no/such/route'],
] as const

describe('a blocked identity', () => {
  for (const [method, path] of REQUESTS) {
    const length =
      method === 'POST' ? 'Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n' : ''
    test(`is refused at ${method} ${path}, without its body`, async () => {
      const request = `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${length}\r\n`
      const answer = await exchange(await openTls(mesh, STREAMING), request)
      expect(answer).toMatch(/(^|\r\n\r\n)HTTP\/1\.1 403 /)
      const problem = JSON.parse(answer.slice(answer.indexOf('{'))) as Record<string, string>
      expect(problem).toMatchObject({
        error: 'capability_access_denied',
        reason_code: 'identity_blocked',
        reason: `Worker ${ID} not authorized: the identity is blocked`,
        requester: ID,
      })
      expect(problem).not.toHaveProperty('capability')
      const record = await mesh.auditedAs((line) => line['decision_id'] === problem['decision_id'])
      expect(record).toMatchObject({
        event: 'policy_decision',
        requester_spiffe_id: ID,
        capability: null,
        decision: 'deny',
        mode: 'enforce',
        engine: 'controller',
        reasons: [{ code: 'identity_blocked' }],
        trace_id: problem['trace_id'],
        count: 1,
      })
    })
  }

  test('leaves the names of the routes in the records', async () => {
    const routes = (await mesh.audit()).map((line) => line['route'])
    for (const route of ['/route', '/route/{verb}/{capability}', '/workers', 'unknown']) expect(routes).toContain(route)
  })

  test('keeps its connection where there is no body to be read', async () => {
    const line = 'GET /workers HTTP/1.1\r\nHost: a\r\n'
    const answer = await exchange(await openTls(mesh, STREAMING), `${line}\r\n${line}Connection: close\r\n\r\n`)
    expect(answer.match(/HTTP\/1\.1 403 /g)).toHaveLength(2)
  })

  test('is counted as a denial, without a time of evaluation', async () => {
    const counted = async (name: string): Promise<number> => {
      const line = (await mesh.admin('/metrics')).text.split('\n').find((one) => one.startsWith(`controller_${name} `))
      return Number(line?.split(' ')[1] ?? 0)
    }
    const before = await counted('policy_denials_total{capability="other"}')
    const { status } = await mesh.request(STREAMING, { path: '/workers' })
    expect(status).toBe(403)
    expect(await counted('policy_denials_total{capability="other"}')).toBe(before + 1)
    expect(await counted('policy_decisions_total{capability="other",decision="deny"}')).toBe(before + 1)
    expect(await counted('policy_eval_duration_seconds_count{capability="other"}')).toBe(0)
  })

  test('cannot fill the audit log: beyond the budget its requests are counted in one record', async () => {
    const recorded = async (): Promise<number> =>
      (await mesh.audit())
        .filter(({ capability }) => capability === null)
        .reduce((sum, { count }) => sum + Number(count), 0)
    const before = await recorded()
    const lines = (await mesh.audit()).length
    const requests = 400
    for (let sent = 0; sent < requests; sent += 100) {
      await Promise.all(Array.from({ length: 100 }, () => mesh.request(STREAMING, { path: '/workers' })))
    }
    await until('all are accounted for', async () => (await recorded()) === before + requests)
    const added = (await mesh.audit()).slice(lines)
    const summaries = added.filter(({ count }) => Number(count) > 1)
    const whole = Map.groupBy(
      added.filter(({ count }) => count === 1),
      ({ timestamp }) => String(timestamp).slice(0, 'yyyy-mm-ddThh:mm:ss'.length),
    )
    for (const inOneSecond of whole.values()) expect(inOneSecond.length).toBeLessThanOrEqual(50)
    for (const summary of summaries) {
      expect(summary).toMatchObject({ decision_id: null, trace_id: null, requester_spiffe_id: null, capability: null })
    }
  })

  test('others are served', async () => {
    expect((await mesh.request(HELLO, { path: '/workers' })).status).toBe(200)
  })
})

describe('the commands that read the audit log', () => {
  const run = (...args: string[]) => crank([...args, '--audit-file', mesh.auditLog])
  const lastBlocked = async () => {
    const found = (await mesh.audit()).findLast(({ capability, count }) => capability === null && count === 1)
    return found?.['decision_id'] as string
  }

  test('audit verify finds the chain intact', async () => {
    expect(await run('audit', 'verify')).toMatchObject({ code: 0 })
  })

  test('audit tail shows who was refused, and that it was no capability', async () => {
    const { code, stdout } = await run('audit', 'tail', '--deny', '-n', '1000')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /deny +spiffe:\/\/crank\.local\/worker\/streaming {2}- {2}Worker \S+ not authorized: the identity/,
    )
  })

  test('explain shows it as recorded, and how to lift the block', async () => {
    const { code, stdout, stderr } = await run('explain', await lastBlocked(), '--policy', policies.dir)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('identity_blocked')
    expect(stdout).toContain('blocked.json')
  })

  test('replay passes over it: no policy was asked', async () => {
    const { code, stdout, stderr } = await run('replay', '--policy', policies.dir, '-o', 'json')
    expect({ code, stderr: stderr.includes('cannot be reconstructed') }).toEqual({ code: 0, stderr: false })
    expect(JSON.parse(stdout)).toMatchObject({ decisions: 0, notCompared: { incomplete: 0 } })
  })

  test('policy unused and shadow report pass over it', async () => {
    const unused = await run('policy', 'unused', '--policy', policies.dir, '--since', '30d', '-o', 'json')
    expect(unused.stderr).toBe('')
    expect(JSON.parse(unused.stdout)).toMatchObject({ undeclared: [] })
  })
})
