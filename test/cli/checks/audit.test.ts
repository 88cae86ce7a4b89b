import { chmodSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { auditChainsIn } from '../../../src/audit/places.ts'
import { checkAudit } from '../../../src/cli/checks/audit.ts'
import type { Finding } from '../../../src/cli/checks/finding.ts'
import { checkpointOf, newFolder, newKey, writeCheckpoint, writeLog } from '../proven-log.ts'

const check = (dir: string): Promise<Finding[]> => {
  const chains = auditChainsIn(dir)
  const findings = checkAudit(() => ({ dir, chains, files: [], name: dir }), {}, Date.now)
  return findings.then((all) => all.filter(({ name }) => name !== 'audit disk'))
}

test('checkpoints that are not signed are a warning with its cure, signed ones are none', async () => {
  const dir = newFolder()
  const { folder, heads } = writeLog(dir, 0, [3, 2])
  expect(await check(dir)).toMatchObject([
    { name: 'audit chain', status: 'ok', message: `${folder}: 5 records, chain intact` },
  ])
  writeCheckpoint(folder, checkpointOf(heads[5], 0))
  expect(await check(dir)).toMatchObject([
    { name: 'audit chain', status: 'ok' },
    { name: 'audit checkpoints', status: 'warn', hint: expect.stringContaining('CRANK_AUDIT_SIGNING_KEY') },
  ])
  writeCheckpoint(folder, checkpointOf(heads[5], 0, newKey()))
  expect(await check(dir)).toMatchObject([{ status: 'ok' }])
})

test('a log that is behind its checkpoint, or begins too late, fails', async () => {
  const dir = newFolder()
  const { folder, files, heads } = writeLog(dir, 0, [3, 2])
  writeCheckpoint(folder, checkpointOf(heads[5], 0))
  truncateSync(files[1]!)
  expect(await check(dir)).toMatchObject([
    { status: 'fail', message: expect.stringContaining('records 4 to 5 are missing at the end') },
  ])
  const other = newFolder()
  rmSync(writeLog(other, 0, [3, 2]).files[0]!)
  expect(await check(other)).toMatchObject([
    { status: 'fail', message: expect.stringContaining('their removal is not on record') },
  ])
})

test('a segment that others can read is a warning', async () => {
  const dir = newFolder()
  const { files } = writeLog(dir, 0, [3, 2])
  chmodSync(files[0]!, 0o644)
  expect(await check(dir)).toMatchObject([
    { status: 'warn', message: `${files[0]} is accessible to other users` },
    { status: 'ok' },
  ])
  expect(await check(join(dir, 'none'))).toMatchObject([{ status: 'warn' }])
})

test('of a long log only the newest segments are read, which the finding says', async () => {
  const dir = newFolder()
  const { folder, files } = writeLog(dir, 0, [3, 2, 4])
  // A hole: it takes no room on the disk, and would take a minute to read.
  truncateSync(files[0]!, 1024 * 1024 * 1024)
  expect(await check(dir)).toMatchObject([
    {
      status: 'ok',
      message: `${folder}: 6 records, chain intact; only the newest 2 of 3 segments were read: crank audit verify reads all`,
    },
  ])
})
