// The commands of docs/operations/backup-and-restore.md work as they stand there, on a controller that runs and on its folder.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { crank } from '../cli/in-process.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, type Parties } from '../fixtures/parties.ts'
import { guideBlocks, runCommands, type Ran } from './guide-blocks.ts'

vi.setConfig({ testTimeout: 120_000 })

const page = await readFile(join(import.meta.dirname, '../../docs/operations/backup-and-restore.md'), 'utf8')
const [backup, readBack, restore, checkpoint, check] = guideBlocks(page)

let folder: string
let parties: Parties
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-backup-'))
  parties = await createParties()
  const key = join(folder, 'audit.key')
  const { stdout } = await crank(['audit', 'key', `--out=${key}`])
  await writeFile(join(folder, 'audit.pub'), stdout)
  const state = { CRANK_STATE_DIR: join(folder, '.crank'), CRANK_AUDIT_SIGNING_KEY: key }
  env = { ...(await parties.tlsEnv('controller')), ...state }
})
afterAll(async () => {
  await parties.close()
  await rm(folder, { recursive: true, force: true })
})

const run = (block: typeof backup, controller?: ControllerProcess): Promise<Ran[]> =>
  runCommands(block!.commands, folder, { CRANK_ADMIN_URL: controller?.adminOrigin })

test('a log is saved, read back, lost, restored, and continued behind what the backup lacks', async () => {
  const first = await startControllerProcess(env)
  await run(backup, first)
  const [, , verified] = await run(readBack)
  expect(verified!.stdout).toMatch(/intact|ok/i)
  expect(await first.stop('SIGTERM')).toMatchObject({ code: 0 })

  await run(restore)
  await run(checkpoint)
  const [found] = await run(check)
  expect(found!.stdout + found!.stderr).toContain('checkpoint')
  expect((await stat(join(folder, '.crank/chain.key'))).mode & 0o777).toBe(0o600)

  const second = await startControllerProcess(env)
  const opened = second.log.find(({ event }) => event === 'audit_segment_opened')
  expect(opened).toMatchObject({ reason: 'rolled_back' })
  await second.stop('SIGTERM')
  const after = await crank(['audit', 'verify', `--state-dir=${join(folder, '.crank')}`, '-o', 'json'])
  const { logs } = JSON.parse(after.stdout) as { logs: { faults: { why: string }[] }[] }
  expect(logs[0]!.faults.map(({ why }) => why)).toEqual(['sequence_gap'])
})
