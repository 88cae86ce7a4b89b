// A newer version on the state folder of an older one, as processes: the one log becomes that of slot 0.
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { oldAuditFile } from '../../src/audit/places.ts'
import { lockAuditFile } from '../../src/controller/audit/lock.ts'
import { crank } from '../cli/crank.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { auditText, readAuditLines, verifyLog } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
let old = ''
const running = new Set<ControllerProcess>()
beforeEach(async () => {
  parties = await createParties()
  old = oldAuditFile(parties.dir)
  env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: parties.dir,
    CRANK_PORT: '0',
    CRANK_ADMIN_PORT: '0',
  }
})
afterEach(async () => {
  for (const one of running) await one.stop('SIGKILL')
  running.clear()
  await parties.close()
})

async function start(more: NodeJS.ProcessEnv = {}): Promise<ControllerProcess> {
  const started = await startControllerProcess({ ...env, ...more })
  running.add(started)
  return started
}

/** Leaves what an older version does: its log in one file. */
async function olderLog(): Promise<void> {
  const elsewhere = join(parties.dir, 'older')
  await (await start({ CRANK_AUDIT_DIR: elsewhere })).stop('SIGTERM')
  const lines = await auditText(join(elsewhere, '0'))
  await writeFile(old, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 })
}

const refused = async (): Promise<string> => {
  const { code, stderr } = await crank(['controller'], { env })
  expect(code).toBe(2)
  return stderr
}

const events = async (): Promise<string[]> => (await readAuditLines(parties.auditLog)).map(({ event }) => event)

test('the chain of the older version goes on in slot 0, with its torn tail repaired, and says so once', async () => {
  await olderLog()
  await truncate(old, (await stat(old)).size - 10)
  const first = await start()
  await first.stop('SIGTERM')
  const to = join(parties.auditLog, '1.jsonl')
  expect(first.log.filter(({ event }) => event === 'audit_moved')).toMatchObject([{ from: old, to }])
  const opened = 'audit_segment_opened'
  const expected = ['controller_started', opened, 'audit_repaired', 'controller_started', 'controller_stopped']
  expect(await events()).toEqual(expected)
  await expect(stat(old)).rejects.toMatchObject({ code: 'ENOENT' })

  const second = await start()
  await second.stop('SIGTERM')
  expect(second.log.filter(({ event }) => event === 'audit_moved')).toEqual([])
  expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, records: 8 })
})

test('an older controller that still runs is not robbed: the start is refused until it has ended', async () => {
  await olderLog()
  const older = lockAuditFile(old)
  expect(await refused()).toContain(`audit file ${old} is in use: another controller writes to it`)
  older.free()
  await (await start()).stop('SIGTERM')
  expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, records: 5 })
})

test('two logs: the start is refused and says what to do', async () => {
  await (await start()).stop('SIGTERM')
  await olderLog()
  const before = await readFile(old, 'utf8')
  expect(await refused()).toContain(`move ${old} to your archive, then start again`)
  expect(await readFile(old, 'utf8')).toBe(before)
})

test('a folder that is named has the log, and the file of an older version stays where it is', async () => {
  await olderLog()
  const named = join(parties.dir, 'named')
  await (await start({ CRANK_AUDIT_DIR: named })).stop('SIGTERM')
  expect([await verifyLog(old), await verifyLog(join(named, '0'))]).toMatchObject([{ records: 2 }, { records: 2 }])
  await expect(stat(parties.auditLog)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('the setting of an older version is refused with the name of the new one', async () => {
  const { code, stderr } = await crank(['controller'], { env: { ...env, CRANK_AUDIT_FILE: old } })
  expect(code).toBe(2)
  expect(stderr).toMatch(/CRANK_AUDIT_FILE: no longer read: .*set CRANK_AUDIT_DIR, a folder, instead/)
  const tail = await crank(['audit', 'tail'], { env: { CRANK_STATE_DIR: parties.dir, CRANK_AUDIT_FILE: old } })
  expect(tail).toMatchObject({ code: 2, stderr: expect.stringContaining('set CRANK_AUDIT_DIR, a folder, instead') })
})

test('CRANK_AUDIT_DIR with the folder that is the default takes the older log over too', async () => {
  await olderLog()
  const first = await start({ CRANK_AUDIT_DIR: join(parties.dir, 'audit') })
  await first.stop('SIGTERM')
  expect(first.log.filter(({ event }) => event === 'audit_moved')).toHaveLength(1)
  expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, records: 5 })
})
