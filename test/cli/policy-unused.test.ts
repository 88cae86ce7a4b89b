// `crank policy unused` as it is run.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { workerId, writeAuditFile, type Made } from './audit-file.ts'
import { crank } from './in-process.ts'

const DAY_MS = 86_400_000
const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString()

const WORKERS = {
  [workerId('a')]: {
    worker_id: 'worker-a',
    required_capabilities: ['use:often', 'use:never', 'use:once', 'use:own'],
    provided_capabilities: ['use:own'],
    deployed_at: '2026-01-01T00:00:00Z',
  },
  [workerId('new')]: {
    worker_id: 'worker-new',
    required_capabilities: ['use:never'],
    provided_capabilities: [],
    deployed_at: daysAgo(5),
  },
}
const MADE: Made[] = [
  { who: 'a', capability: 'use:often', daysAgo: 100 },
  { who: 'a', capability: 'use:once', daysAgo: 50 },
  { who: 'a', capability: 'use:undeclared', daysAgo: 40, decision: 'would_deny' },
  { who: 'a', capability: 'use:refused', daysAgo: 2, decision: 'deny' },
  { who: 'a', capability: 'use:undeclared', daysAgo: 2, decision: 'would_deny', times: 3 },
  { who: 'legacy', capability: 'use:often', daysAgo: 1, exception: `${workerId('legacy')}#*`, times: 2 },
  { who: 'a', capability: 'use:often' },
  { who: 'a', capability: 'use:never', decision: 'deny' },
  { who: 'a', capability: 'use:once', decision: 'error', daysAgo: 1 },
]

let policies: PolicyDir
let audit: string
beforeAll(async () => {
  policies = await copyPolicies({ 'data/worker_manifests.json': JSON.stringify({ workers: WORKERS }) })
  audit = join(policies.dir, 'audit.jsonl')
  await writeAuditFile(audit, MADE)
})
afterAll(() => policies[Symbol.asyncDispose]())

const unused = (...args: string[]) => crank(['policy', 'unused', '--audit', audit, '--policy', policies.dir, ...args])

type Found = { unused: Record<string, unknown>[]; undeclared: Record<string, unknown>[] }

test('lists what is declared and was not used, with how long that is known', async () => {
  const { code, stdout } = await unused('-o', 'json')
  const found = JSON.parse(stdout) as Found
  expect(code).toBe(1)
  expect(found.unused).toMatchObject([
    { spiffe_id: workerId('a'), capability: 'use:never', own: false, last_used: null, days: 100, certain: true },
    { spiffe_id: workerId('a'), capability: 'use:once', own: false, days: 50, certain: true },
    { spiffe_id: workerId('new'), capability: 'use:never', last_used: null, days: 5, certain: false },
    { spiffe_id: workerId('a'), capability: 'use:own', own: true, days: 100 },
  ])
  expect(found.unused[1]!['last_used']).toMatch(/^\d{4}-/)
})

test('lists what passed without being declared, and by what; a refused call is not a use', async () => {
  const { stdout } = await unused('-o', 'json')
  expect((JSON.parse(stdout) as Found).undeclared).toMatchObject([
    { spiffe_id: workerId('a'), capability: 'use:undeclared', would_denials: 4, by_exception: 0 },
    { spiffe_id: workerId('legacy'), capability: 'use:often', would_denials: 0, by_exception: 2 },
  ])
})

test('for people it is two tables', async () => {
  const { stdout, stderr } = await unused()
  expect(stdout).toMatch(/^DECLARED, NOT USED +DAYS +LAST USED +OWN +BY$/m)
  expect(stdout).toMatch(/^use:never +100\.0 +never +spiffe:\/\/crank\.local\/worker\/a$/m)
  expect(stdout).toMatch(/^use:never +5\.0 \(too few to decide\) +never/m)
  expect(stdout).toMatch(/^USED, NOT DECLARED +WOULD DENY +BY EXCEPTION +LAST USED +BY$/m)
  expect(stderr).toContain(`12 calls in ${audit} since`)
})

test('exits with 0 when nothing is to do: own capabilities, and those watched too shortly, do not count', async () => {
  const fresh = join(policies.dir, 'fresh.jsonl')
  await writeAuditFile(fresh, [{ who: 'a', capability: 'use:often' }])
  const { code, stdout } = await crank(['policy', 'unused', '--audit', fresh, '--policy', policies.dir, '-o', 'json'])
  expect([code, (JSON.parse(stdout) as Found).undeclared]).toEqual([0, []])
})
