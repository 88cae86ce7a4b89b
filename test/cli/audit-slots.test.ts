// The commands that read the audit log, on a state folder with the logs of two slots.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { oldAuditFile, segmentFile } from '../../src/audit/places.ts'
import { gatherFindings } from '../../src/cli/check.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { workerId, writeAuditFile, type Made } from './audit-file.ts'
import type { Finished } from './crank.ts'
import { crank } from './in-process.ts'
import { slotOf } from '../fixtures/audit-log.ts'

const NOWHERE = 'http://127.0.0.1:1'
const TRACE = 'a'.repeat(32)
const idOf = (n: number): string => `019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e4${n}`
const BY_EXCEPTION = `${workerId('legacy')}#use:exception`

const MANIFESTS = JSON.stringify({
  workers: { [workerId('a')]: { worker_id: 'worker-a', required_capabilities: ['use:one', 'use:two'] } },
})
const granted = {
  [workerId('legacy')]: {
    capabilities: ['use:exception'],
    reason: 'until ZET-7 is done',
    owner: 'team-a',
    created_at: new Date(Date.now() - 6 * 86_400_000).toISOString(),
    expires_after: 0,
  },
}

const FIRST: Made[] = [
  { who: 'a', capability: 'use:one', daysAgo: 5, id: idOf(1), trace: TRACE },
  { who: 'legacy', capability: 'use:exception', exception: BY_EXCEPTION, daysAgo: 2, id: idOf(4) },
]
const SECOND: Made[] = [
  { who: 'a', capability: 'use:two', daysAgo: 4, id: idOf(2), trace: TRACE },
  { who: 'legacy', capability: 'use:exception', exception: BY_EXCEPTION, daysAgo: 3, id: idOf(3) },
]

let policies: PolicyDir
let files: string[]
let logs: string[]
beforeEach(async () => {
  policies = await copyPolicies({ 'data/worker_manifests.json': MANIFESTS })
  logs = [0, 1].map((slot) => slotOf(policies.dir, slot))
  files = logs.map((log) => segmentFile(log, 1))
  await writeAuditFile(files[0]!, FIRST)
  await writeAuditFile(files[1]!, SECOND)
})
afterEach(() => policies[Symbol.asyncDispose]())

const run = (...args: string[]): Promise<Finished> =>
  crank(args, { env: { CRANK_STATE_DIR: policies.dir, CRANK_POLICY_DIR: policies.dir, CRANK_ADMIN_URL: NOWHERE } })

type Answer = Record<string, unknown>
const json = async (...args: string[]): Promise<Answer> =>
  JSON.parse((await run(...args, '-o', 'json')).stdout) as Answer

const idsIn = (stdout: string): string[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { decision_id: string }).decision_id)

test('tail merges the records of all slots by time, and changes none of them', async () => {
  const { stdout } = await run('audit', 'tail', '-o', 'json')
  expect(idsIn(stdout)).toEqual([1, 2, 3, 4].map(idOf))
  const written = (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('')
  expect(stdout.split('\n').sort()).toEqual(written.split('\n').sort())
})

test('tail -n counts over all slots', async () => {
  expect(idsIn((await run('audit', 'tail', '-n', '2', '-o', 'json')).stdout)).toEqual([3, 4].map(idOf))
})

test('a file that is named is read alone', async () => {
  const { stdout } = await run('audit', 'tail', '--audit-file', files[1]!, '-o', 'json')
  expect(idsIn(stdout)).toEqual([2, 3].map(idOf))
  expect(await json('audit', 'verify', '--audit-file', files[1]!)).toMatchObject({
    ok: true,
    logs: [{ slot: null, file: files[1] }],
  })
})

test('verify checks the chain of each slot by itself and says which is whose', async () => {
  const { code, stdout } = await run('audit', 'verify')
  expect(code).toBe(0)
  const lines = logs.map((log, slot) => `√ slot ${slot}: ${log}: 2 records, chain intact, head `)
  expect(stdout.trimEnd().split('\n')).toEqual(lines.map((line): unknown => expect.stringContaining(line)))
  expect(await json('audit', 'verify')).toMatchObject({
    ok: true,
    logs: logs.map((file, slot) => ({ slot, file, ok: true, records: 2 })),
  })
})

test('verify with one slot does not name it', async () => {
  await rm(files[1]!)
  const { stdout } = await run('audit', 'verify')
  expect(stdout).toContain(`√ ${logs[0]}: 2 records, chain intact`)
})

test('verify exits with 1 when one of the chains is broken, and still checks the others', async () => {
  await writeFile(files[0]!, (await readFile(files[0]!, 'utf8')).replace('use:one', 'use:two'))
  const { code, stdout } = await run('audit', 'verify')
  expect(code).toBe(1)
  expect(stdout).toContain(`× slot 0: ${logs[0]}: record 1 (line 1) is invalid: the record was changed`)
  expect(stdout).toContain(`√ slot 1: ${logs[1]}: 2 records`)
  expect(await json('audit', 'verify')).toMatchObject({ ok: false, logs: [{ ok: false }, { ok: true }] })
})

test('explain finds a decision in whichever slot it is, and a trace over all of them in order', async () => {
  for (const id of [1, 2].map(idOf)) expect((await run('explain', id)).stdout).toContain(id)
  const { code, stdout } = await run('explain', TRACE)
  expect(code).toBe(0)
  expect(stdout.match(/(?<=decision id )\S+/g)).toEqual([1, 2].map(idOf))
  const { stderr } = await run('explain', idOf(9))
  expect(stderr).toContain(`no record of decision ${idOf(9)} in ${logs.join(', ')}`)
})

test('policy unused, shadow report and replay count the calls of all slots', async () => {
  const unused = await json('policy', 'unused', '--since', '30d')
  expect(unused).toMatchObject({
    audit_file: logs.join(', '),
    unused: [],
    undeclared: [{ spiffe_id: workerId('legacy'), by_exception: 2 }],
  })
  expect((await run('policy', 'unused', '--since', '30d')).stderr).toContain(`4 calls in ${logs.join(', ')} since`)
  expect((await run('shadow', 'report', '--since', '30d')).stderr).toContain(`4 calls in ${logs.join(', ')}`)
  const replayed = await json('replay', '--policy', policies.dir, '--verify')
  expect(replayed).toMatchObject({ decisions: 4, audit: { file: logs.join(', '), verified: true } })
})

test('replay --verify refuses when the chain of any slot is broken', async () => {
  await writeFile(files[1]!, (await readFile(files[1]!, 'utf8')).replace('use:two', 'use:one'))
  const { code, stderr } = await run('replay', '--policy', policies.dir, '--verify')
  expect(code).toBe(1)
  expect(stderr).toContain(`${files[1]} was not replayed: record 1 (line 1) is invalid`)
})

test('exception list adds up the uses in all slots, and the last use is the latest of any', async () => {
  const expires = BigInt(Date.now() + 86_400_000) * 1_000_000n
  const text = JSON.stringify(granted).replace('"expires_after":0', `"expires_after":${expires}`)
  await writeFile(`${policies.dir}/data/exceptions.json`, text)
  const { exceptions, audit_since: since } = await json('exception', 'list')
  const lines = (await readFile(files[0]!, 'utf8')).trimEnd().split('\n')
  const [first, last] = lines.map((line) => (JSON.parse(line) as { timestamp: string }).timestamp)
  expect(exceptions).toMatchObject([{ spiffe_id: workerId('legacy'), uses: 2, last_used_at: last }])
  expect(since).toBe(first)
})

test('check looks at the log of each slot', async () => {
  await writeFile(files[1]!, (await readFile(files[1]!, 'utf8')).replace('use:two', 'use:one'))
  const env = { CRANK_POLICY_DIR: policies.dir }
  const findings = await gatherFindings({ adminUrl: NOWHERE, stateDir: policies.dir }, env, Date.now)
  expect(findings.filter(({ name }) => name === 'audit chain')).toMatchObject([
    { status: 'ok', message: `${logs[0]}: 2 records, chain intact` },
    { status: 'fail', message: expect.stringContaining(`${logs[1]}: record 1 (line 1) is invalid`) },
  ])
})

test('the log of an older version is read where it is, until a controller moves it', async () => {
  const old = oldAuditFile(policies.dir)
  await rename(files[0]!, old)
  expect(await json('audit', 'verify')).toMatchObject({
    logs: [
      { slot: 0, file: old },
      { slot: 1, file: logs[1] },
    ],
  })
  expect(idsIn((await run('audit', 'tail', '-o', 'json')).stdout)).toEqual([1, 2, 3, 4].map(idOf))
})

test('logs that cannot be read are an error of every command, and a failed check', async () => {
  await rm(`${policies.dir}/audit`, { recursive: true })
  await writeFile(`${policies.dir}/audit`, '')
  for (const args of [
    ['audit', 'tail'],
    ['audit', 'verify'],
    ['explain', TRACE],
  ]) {
    expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining('ENOTDIR') })
  }
  const env = { CRANK_POLICY_DIR: policies.dir }
  const findings = await gatherFindings({ adminUrl: NOWHERE, stateDir: policies.dir }, env, Date.now)
  expect(findings.find(({ name }) => name === 'audit file')).toMatchObject({ status: 'fail' })
})
