// The audit log under what operators do at night, on the running product: rotated, renamed, copied and cut, replaced.
import { existsSync } from 'node:fs'
import { chmod, copyFile, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readOwnCheckpoints } from '../../src/audit/checkpoint-files.ts'
import { crank } from '../cli/crank.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines, segmentFiles, verifyLog } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
let log = ''
const newest = (): string => segmentFiles(log).at(-1)!
beforeAll(async () => {
  parties = await createParties()
  log = parties.auditLog
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

/** Calls go on while `act` is done to the log; all of them are answered, and all answers are recorded. */
async function callsGoOnWhile(act: () => Promise<unknown>, ...more: string[]): Promise<void> {
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
  for (const name of [log, ...more]) for (const line of await readAuditLines(name)) recorded.add(line['decision_id'])
  expect(answers.filter(({ headers }) => !recorded.has(headers['x-decision-id']))).toEqual([])
}

/** The first record of the newest segment, and the last of `before`. */
async function breakAfter(before: string) {
  const [first] = await readAuditLines(newest())
  return { first, last: (await readAuditLines(before)).at(-1)! }
}

test('rotated by an operator: no call fails, the old segment is read-only, then compressed, and all is one chain', async () => {
  const before = newest()
  await callsGoOnWhile(async () => {
    const { code, stdout } = await crank(['audit', 'rotate', '--admin-url', controller.adminOrigin, '-o', 'json'])
    expect(code).toBe(0)
    const { slots } = JSON.parse(stdout) as { slots: { slot: number; first_seq: number }[] }
    expect(slots).toEqual([{ slot: 0, first_seq: expect.any(Number) }])
    // What is copied now is proved to its end.
    expect(readOwnCheckpoints(dirname(newest())).newest!.seq).toBeGreaterThanOrEqual(slots[0]!.first_seq - 1)
  })
  await until('it is compressed', () => existsSync(`${before}.zst`) && !existsSync(before))
  expect((await stat(`${before}.zst`)).mode & 0o777).toBe(0o400)
  const { first, last } = await breakAfter(`${before}.zst`)
  expect(first).toMatchObject({ event: 'audit_segment_opened', reason: 'requested', previous_seq: last.seq })
  expect(await verifyLog(log)).toMatchObject({ ok: true })
  expect((await readiness()).audit).toEqual({ name: 'audit', ok: true })
})

test('renamed, as logrotate does: no call fails, and the chain goes on in a new segment', async () => {
  const before = newest()
  const old = `${before}.1`
  await callsGoOnWhile(() => rename(before, old), old)
  const { first, last } = await breakAfter(old)
  expect(first).toMatchObject({
    event: 'audit_segment_opened',
    reason: 'renamed',
    previous_seq: last.seq,
    previous_hash: last['hash'],
  })
  expect((await stat(newest())).mode & 0o777).toBe(0o600)

  expect(await readiness()).toMatchObject({
    status: 200,
    audit: { ok: true, reason: expect.stringMatching(/^in a new segment since \S+: the one before was renamed$/) },
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
  expect(JSON.parse((await verify(newest())).stdout)).toMatchObject({
    ok: true,
    logs: [{ continues: { seq: last.seq, hash: last['hash'] } }],
  })
  const both = await verify(old, newest())
  expect(JSON.parse(both.stdout)).toMatchObject({ ok: true, logs: [{ slot: null, file: `${old} + ${newest()}` }] })
  expect((await verify(newest(), old)).code).toBe(1)
  await rename(old, before)
  expect((await crank(['audit', 'verify', '--audit', log])).code).toBe(0)
})

test('copied and cut in place, as copytruncate does: no call fails, and the cut segment stays as it is', async () => {
  const before = newest()
  await copyFile(before, `${before}.2`)
  await truncate(before, 0)
  expect((await call()).status).toBe(200)
  const lines = await readAuditLines(newest())
  expect(lines[0]).toMatchObject({ event: 'audit_segment_opened', reason: 'truncated' })
  expect(lines.map(({ event }) => event)).toContain('policy_decision')
  expect((await stat(before)).size).toBe(0)
  expect((await verify(`${before}.2`, newest())).code).toBe(0)
  expect(await readiness()).toMatchObject({
    status: 200,
    audit: { ok: true, reason: expect.stringContaining('truncated') },
  })
  await rename(`${before}.2`, before)
})

test("somebody else's file at the place of the next segment is refused and never touched, until it is gone", async () => {
  const lines = await readAuditLines(newest())
  const next = join(log, `${lines.at(-1)!.seq + 1}.jsonl`)
  await writeFile(next, 'somebody else was here\n')
  await chmod(join(log, `${lines[0]!.seq}.jsonl`), 0o644)
  expect(await call()).toMatchObject({ status: 503, body: { error: 'audit_unavailable' } })
  expect(await readiness()).toMatchObject({
    status: 503,
    audit: { ok: false, reason: expect.stringContaining('is not ours; move it away') },
  })
  expect(await readFile(next, 'utf8')).toBe('somebody else was here\n')
  await rename(next, `${next}.foreign`)
  await until('readiness is green', async () => (await readiness()).status === 200)
  expect((await call()).status).toBe(200)
  expect(await readFile(`${next}.foreign`, 'utf8')).toBe('somebody else was here\n')
  expect(await verifyLog(log)).toMatchObject({ ok: true })
})
