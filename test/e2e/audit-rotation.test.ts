// The audit file under what operators do at night, on the running product: renamed, copied and cut, deleted, replaced.
import { copyFile, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { verifyAudit } from '../../src/audit/verify.ts'
import { crank } from '../cli/crank.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, readAuditLines, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
let file = ''
beforeAll(async () => {
  parties = await createParties()
  file = parties.auditFile
  const env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: parties.dir,
    CRANK_HEARTBEAT_INTERVAL_MS: '60000',
  }
  controller = await startControllerProcess(env)
  worker = await startFakeWorker({ ...parties, request: parties.request.bind(undefined, controller.origin) }, greets)
  expect((await worker.register()).status).toBe(200)
})
afterAll(async () => {
  await controller.stop('SIGTERM')
  await worker.close()
  await parties.close()
})

const call = (): Promise<Answer> =>
  parties.request(
    controller.origin,
    STREAMING,
    postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: {} }),
  )

type Ready = { status: number; audit: { ok: boolean; reason?: string } }

async function readiness(): Promise<Ready> {
  const response = await fetch(`${controller.adminOrigin}/readyz`)
  const { checks } = (await response.json()) as { checks: { name: string; ok: boolean; reason?: string }[] }
  return { status: response.status, audit: checks.find(({ name }) => name === 'audit')! }
}

const verify = (...files: string[]) => crank(['audit', 'verify', ...files, '-o', 'json'])

/** Calls go on while `act` is done to the file; all of them are answered, and all answers are recorded in `files`. */
async function callsGoOnWhile(act: () => Promise<unknown>, files: string[]): Promise<void> {
  const answers: Answer[] = []
  let stop = false
  const callOn = async (): Promise<void> => {
    while (!stop) answers.push(await call())
  }
  const callers = Array.from({ length: 4 }, callOn)
  const seen = (count: number) => until('calls are answered', () => answers.length >= count)
  await seen(8)
  await act()
  await seen(answers.length + 8)
  stop = true
  await Promise.all(callers)
  expect(answers.filter(({ status }) => status !== 200).map(({ text }) => text)).toEqual([])
  const recorded = new Set<unknown>()
  for (const name of files) for (const line of await readAuditLines(name)) recorded.add(line['decision_id'])
  expect(answers.filter(({ headers }) => !recorded.has(headers['x-decision-id']))).toEqual([])
}

test('renamed, as logrotate does: no call fails, records go on at the path, and both files are one chain', async () => {
  const old = `${file}.1`
  await callsGoOnWhile(() => rename(file, old), [old, file])
  const [first, ...others] = await readAuditLines(file)
  const last = (await readAuditLines(old)).at(-1)!
  expect(first).toMatchObject({
    event: 'audit_segment_opened',
    reason: 'renamed',
    previous_seq: last.seq,
    previous_hash: last['hash'],
  })
  expect(others.length).toBeGreaterThan(0)
  expect((await stat(file)).mode & 0o777).toBe(0o600)

  expect(await readiness()).toMatchObject({
    status: 200,
    audit: { ok: true, reason: expect.stringMatching(/^in a new file since \S+: the previous one was renamed$/) },
  })
  expect(controller.log).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      event: 'audit_segment_opened',
      reason: 'renamed',
      previous_seq: last.seq,
    }),
  )
  const metrics = await (await fetch(`${controller.adminOrigin}/metrics`)).text()
  expect(metrics).toContain('controller_audit_segments_opened_total{reason="renamed"} 1\n')

  const alone = await verify(file)
  expect(alone).toMatchObject({ code: 0 })
  expect(JSON.parse(alone.stdout)).toMatchObject({
    ok: true,
    logs: [{ continues: { seq: last.seq, hash: last['hash'] } }],
  })
  const both = await verify(old, file)
  expect(JSON.parse(both.stdout)).toMatchObject({ ok: true, logs: [{ slot: null, file: `${old} + ${file}` }] })
  expect((await verify(file, old)).code).toBe(1)
  const { stdout } = await crank(['audit', 'tail', '--audit-file', file])
  expect(stdout.trimEnd().split('\n').length).toBeGreaterThan(1)
})

test('copied and cut in place, as copytruncate does: no call fails, and the file begins again as a segment', async () => {
  await copyFile(file, `${file}.2`)
  await truncate(file, 0)
  expect((await call()).status).toBe(200)
  const lines = await readAuditLines(file)
  expect(lines[0]).toMatchObject({ event: 'audit_segment_opened', reason: 'truncated' })
  expect(lines.map(({ event }) => event)).toContain('policy_decision')
  expect(await verifyAudit(`${file}.1`, `${file}.2`, file)).toMatchObject({ ok: true })
  expect(await readiness()).toMatchObject({
    status: 200,
    audit: { ok: true, reason: expect.stringContaining('truncated') },
  })
})

test("somebody else's file at the path is refused and never touched, until it is gone", async () => {
  await rename(file, `${file}.3`)
  await writeFile(file, 'somebody else was here\n')
  expect(await call()).toMatchObject({ status: 503, body: { error: 'audit_unavailable' } })
  expect(await readiness()).toMatchObject({
    status: 503,
    audit: { ok: false, reason: "the file at the audit log's path is not an audit log; move it away" },
  })
  expect(await readFile(file, 'utf8')).toBe('somebody else was here\n')
  await rename(file, `${file}.foreign`)
  await until('readiness is green', async () => (await readiness()).status === 200)
  expect((await call()).status).toBe(200)
  expect(await verifyAudit(`${file}.1`, `${file}.2`, `${file}.3`, file)).toMatchObject({ ok: true })
  expect(await readFile(`${file}.foreign`, 'utf8')).toBe('somebody else was here\n')
})
