// Replay of what a real mesh recorded: the policy in force changes nothing, another one flips exactly what it says, and
// exceptions are judged at the recorded time, not at the time of the replay.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Report } from '../../src/cli/replay/report.ts'
import { crank } from '../cli/crank.ts'
import { greets, HELLO_SCHEMA, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../fixtures/policy-dir.ts'
import { auditText, type AuditLine } from '../fixtures/audit-log.ts'

const CRANK = join(import.meta.dirname, '../../bin/crank.js')
const runFile = promisify(execFile)
const GUEST = 'worker/guest'
const idOf = (path: string): string => `spiffe://crank.local/${path}`
const OTHER_SCHEMA = { ...HELLO_SCHEMA, verb: 'convert', name: 'document_to_pdf' }
const ENFORCEMENT = { enforcement: { default: 'enforce', capabilities: { 'convert:html_to_pdf': 'shadow' } } }

let inForce: PolicyDir
let mesh: Mesh
let worker: FakeWorker
let audit: AuditLine[]
beforeAll(async () => {
  const inAnHour = BigInt(Date.now() + 3_600_000) * 1_000_000n
  inForce = await copyPolicies({
    'data/exceptions.json': exceptions(inAnHour),
    'data/enforcement.json': JSON.stringify(ENFORCEMENT),
  })
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: inForce.dir } })
  worker = await startFakeWorker(mesh, greets)
  expect((await worker.register()).status).toBe(200)
  expect((await worker.register({ capabilities: [OTHER_SCHEMA] })).status).toBe(403)
  const call = (path: string, verb: string, capability: string, priority = 'normal') =>
    mesh.route(path, { verb, capability, priority })
  expect((await call(STREAMING, 'invoke', 'hello_world', 'high')).status).toBe(200)
  expect((await call(HELLO, 'invoke', 'hello_world')).status).toBe(200)
  expect((await call(GUEST, 'invoke', 'hello_world')).status).toBe(200)
  expect((await call(STREAMING, 'convert', 'document_to_pdf')).status).toBe(403)
  expect((await call('worker/stranger', 'invoke', 'hello_world')).status).toBe(403)
  expect((await call(STREAMING, 'convert', 'html_to_pdf')).status).toBe(503)
  audit = await mesh.audit()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
  await inForce[Symbol.asyncDispose]()
})

test('the policy in force decides all of it as it did: denials, exceptions, shadow and registrations', async () => {
  const decided = audit.filter(({ event }) => event === 'policy_decision' || event === 'worker_registration')
  expect(new Set(decided.map((line) => String(line['decision'])))).toEqual(new Set(['allow', 'deny', 'would_deny']))
  expect(decided.some((line) => line['exception'] === `${idOf(GUEST)}#*`)).toBe(true)
  for (const memo of [[], ['--no-memo']]) {
    const { code, report } = await replay(inForce.dir, ...memo)
    expect(report).toMatchObject({ decisions: decided.length, changed: 0, otherReasons: 0, changes: [] })
    expect(code).toBe(0)
  }
})

test('another manifest flips what it declares and what it does not declare any more', async () => {
  const { workers } = JSON.parse(await readFile(join(POLICY_DIR, 'data/worker_manifests.json'), 'utf8'))
  workers[idOf(STREAMING)].required_capabilities = ['convert:document_to_pdf', 'convert:html_to_pdf']
  workers[idOf(HELLO)].provided_capabilities = ['convert:document_to_pdf']
  await using other = await variant({ 'data/worker_manifests.json': JSON.stringify({ workers }) })
  const { code, report } = await replay(other.dir)
  expect(code).toBe(1)
  expect(flips(report)).toEqual([
    'deny>allow worker/hello-world register worker-hello-world',
    'deny>allow worker/streaming convert:document_to_pdf',
    'would_deny>allow worker/streaming convert:html_to_pdf',
    'allow>deny worker/hello-world register worker-hello-world',
    'allow>deny worker/streaming invoke:hello_world',
  ])
})

test('another mode map changes what passes', async () => {
  const enforcement = { enforcement: { default: 'shadow', capabilities: { 'convert:html_to_pdf': 'enforce' } } }
  await using other = await variant({ 'data/enforcement.json': JSON.stringify(enforcement) })
  expect(flips((await replay(other.dir)).report)).toEqual([
    'deny>would_deny worker/stranger invoke:hello_world',
    'deny>would_deny worker/streaming convert:document_to_pdf',
    'would_deny>deny worker/streaming convert:html_to_pdf',
  ])
})

test('an exception counts by the recorded time, to the nanosecond', async () => {
  const recordedNs = BigInt(String(audit.find((line) => line['requester_spiffe_id'] === idOf(GUEST))?.['now_ns']))
  // Both are over by now; one was not yet when the call was made.
  await using still = await variant({ 'data/exceptions.json': exceptions(recordedNs + 1n) })
  await using over = await variant({ 'data/exceptions.json': exceptions(recordedNs) })
  for (const memo of [[], ['--no-memo']]) {
    expect((await replay(still.dir, ...memo)).code).toBe(0)
    expect(flips((await replay(over.dir, ...memo)).report)).toEqual(['allow>deny worker/guest invoke:hello_world'])
  }
})

test('an identity that is blocked now is shown with what it was let do', async () => {
  const blocked = { blocked: { identities: { [idOf(STREAMING)]: 'key stolen' }, capabilities: {} } }
  await using other = await variant({ 'data/blocked.json': JSON.stringify(blocked) })
  const { report } = await replay(other.dir)
  expect(flips(report)).toEqual([
    'allow>deny worker/streaming invoke:hello_world',
    'would_deny>deny worker/streaming convert:html_to_pdf',
    'deny>deny worker/streaming convert:document_to_pdf',
  ])
})

test('the log may come through a pipe, decompressed by another program', async () => {
  const file = join(inForce.dir, 'log.jsonl')
  await writeFile(file, `${(await auditText(mesh.auditLog)).join('\n')}\n`)
  const { report: whole } = await replay(inForce.dir)
  const script = 'cat "$1" | "$2" "$3" replay --audit /dev/stdin --policy "$4" -o json $5'
  const piped = (more: string) => runFile('sh', ['-c', script, 'sh', file, process.execPath, CRANK, inForce.dir, more])
  const { stdout } = await piped('')
  expect(JSON.parse(stdout)).toMatchObject({ decisions: whole.decisions, changed: 0, notCompared: whole.notCompared })
  await expect(piped('--verify')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--verify cannot read /dev/stdin twice: save the log in a file'),
  })
})

/** The policy in force with other files. */
async function variant(files: Readonly<Record<string, string>>): Promise<PolicyDir> {
  const kept = ['data/exceptions.json', 'data/enforcement.json']
  const own = await Promise.all(kept.map(async (name) => [name, await readFile(join(inForce.dir, name), 'utf8')]))
  return copyPolicies({ ...Object.fromEntries(own), ...files })
}

async function replay(policy: string, ...more: string[]): Promise<{ code: number | null; report: Report }> {
  const args = ['replay', '--verify', '--audit', mesh.auditLog, '--policy', policy, '-o', 'json', ...more]
  const { code, stdout, stderr } = await crank(args)
  expect(stdout, stderr).not.toBe('')
  return { code, report: JSON.parse(stdout) as Report }
}

function flips({ changes }: Report): string[] {
  return changes.flatMap(({ from, to, groups }) =>
    groups.map(({ requester, subject }) => `${from}>${to} ${requester.replace(idOf(''), '')} ${subject}`),
  )
}

function exceptions(endNs: bigint): string {
  const createdAt = new Date(Date.now() - 60_000).toISOString()
  return `{"${idOf(GUEST)}": {"temporary_allow_all": true, "expires_after": ${endNs}, "owner": "test", "reason": "a visit", "created_at": "${createdAt}"}}`
}
