// A newer version on the state folder of an older one, as processes: the one log becomes that of slot 0.
import { readFile, rename, stat, truncate } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { oldAuditFileOf } from '../../src/audit/places.ts'
import { verifyAudit } from '../../src/audit/verify.ts'
import { crank } from '../cli/crank.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, readAuditLines, type Parties } from '../fixtures/parties.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
let old = ''
const running = new Set<ControllerProcess>()
beforeEach(async () => {
  parties = await createParties()
  old = oldAuditFileOf(parties.dir)
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

/** Writes where an older version does. */
const startOlder = () => start({ CRANK_AUDIT_FILE: old })

const refused = async (): Promise<string> => {
  const { code, stderr } = await crank(['controller'], { env })
  expect(code).toBe(2)
  return stderr
}

const events = async (): Promise<string[]> => (await readAuditLines(parties.auditFile)).map(({ event }) => event)

test('the chain of the older version goes on in slot 0, with its torn tail repaired, and says so once', async () => {
  await (await startOlder()).stop('SIGTERM')
  await truncate(old, (await stat(old)).size - 10)
  const first = await start()
  await first.stop('SIGTERM')
  expect(first.log.filter(({ event }) => event === 'audit_moved')).toMatchObject([{ from: old, to: parties.auditFile }])
  expect(await events()).toEqual(['controller_started', 'audit_repaired', 'controller_started', 'controller_stopped'])
  await expect(stat(old)).rejects.toMatchObject({ code: 'ENOENT' })

  const second = await start()
  await second.stop('SIGTERM')
  expect(second.log.filter(({ event }) => event === 'audit_moved')).toEqual([])
  expect(await verifyAudit(parties.auditFile)).toMatchObject({ ok: true, records: 6 })
})

test('back to the older version: its file at its place again, one chain', async () => {
  await (await startOlder()).stop('SIGTERM')
  await (await start()).stop('SIGTERM')
  await rename(parties.auditFile, old)
  await (await startOlder()).stop('SIGTERM')
  expect(await verifyAudit(old)).toMatchObject({ ok: true, records: 6 })
  await (await start()).stop('SIGTERM')
  expect(await verifyAudit(parties.auditFile)).toMatchObject({ ok: true, records: 8 })
})

test('an older controller that still runs is not robbed: the start is refused until it has ended', async () => {
  const older = await startOlder()
  expect(await refused()).toContain(`audit file ${old} is in use: another controller writes to it`)
  await older.stop('SIGTERM')
  expect((await readAuditLines(old)).map(({ event }) => event)).toEqual(['controller_started', 'controller_stopped'])
  await (await start()).stop('SIGTERM')
  expect(await verifyAudit(parties.auditFile)).toMatchObject({ ok: true, records: 4 })
})

test('two logs: the start is refused and says what to do', async () => {
  await (await start()).stop('SIGTERM')
  await (await startOlder()).stop('SIGTERM')
  const before = await readFile(old, 'utf8')
  expect(await refused()).toContain(`move ${old} to your archive, then start again`)
  expect(await readFile(old, 'utf8')).toBe(before)
})

test('a file that is named stays where it is, and so does one of an older version', async () => {
  await (await startOlder()).stop('SIGTERM')
  const named = `${parties.dir}/named.jsonl`
  await (await start({ CRANK_AUDIT_FILE: named })).stop('SIGTERM')
  expect([await verifyAudit(old), await verifyAudit(named)]).toMatchObject([{ records: 2 }, { records: 2 }])
  await expect(stat(parties.auditFile)).rejects.toMatchObject({ code: 'ENOENT' })
})
