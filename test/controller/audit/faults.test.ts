// Real processes: killed, short of space, competing.
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isCompressed } from '../../../src/audit/places.ts'
import { readAuditLines, segmentFiles, verifyLog } from '../../fixtures/audit-log.ts'
import { APPENDER, dieAt, newest, openLog, outcome, startChild, temporaryLog, until, type Child } from './support.ts'

const marksOf = (child: Child, word: string): string[] =>
  child.lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.split(' ')[1]!)
const recorded = async (log: string): Promise<Set<unknown>> =>
  new Set((await readAuditLines(log)).map((line) => line['decision_id']))

for (const sync of ['fsync', 'write'] as const) {
  test(`ten times killed while appending, no acknowledged record is lost (${sync})`, async () => {
    const log = temporaryLog()
    const acknowledged: string[] = []
    for (let round = 1; round <= 10; round++) {
      const child = startChild(process.execPath, [APPENDER, log, sync, `r${round}`, '32'])
      await until(() => child.lines.length > 100 * round)
      child.process.kill('SIGKILL')
      await child.exited
      acknowledged.push(...marksOf(child, 'ok'))
    }
    const audit = await openLog(log)
    await audit.close()
    const written = await recorded(log)
    expect(acknowledged.filter((mark) => !written.has(mark))).toEqual([])
    expect(await verifyLog(log)).toMatchObject({ ok: true, tornTailBytes: 0 })
  }, 60_000)
}

/** Where a process can be killed while it begins a segment, completes the one before, and compresses that. */
const phases: readonly string[] = [
  ...['open:before', 'open:after', 'write:before', 'write:half', 'write:after'],
  ...['fchmod:before', 'fchmod:after', 'fsync:before', 'fsync:after', 'close:before', 'close:after'],
  ...['openSync:before', 'openSync:after', 'writeSync:half', 'chmodSync:before', 'renameSync:before'],
  ...['renameSync:after', 'rmSync:before', 'rmSync:after'],
]

test('killed 57 times in every phase of a rotation, no acknowledged record is lost and the chain is whole', async () => {
  const log = temporaryLog()
  let acknowledged: string[] = []
  for (const [at, phase] of phases.flatMap((phase) => [1, 2, 3].map((nth) => `${phase}:${nth}`)).entries()) {
    const args = ['--import', dieAt(phase), APPENDER, log, 'fsync', `p${at}`, '1', '8000']
    const child = startChild(process.execPath, args)
    await child.exited
    expect([phase, child.process.signalCode]).toEqual([phase, 'SIGKILL'])
    acknowledged = acknowledged.concat(marksOf(child, 'ok'))
  }
  const audit = await openLog(log)
  await audit.append(outcome('last'))
  await audit.close()
  const lines = await readAuditLines(log)
  const written = new Set(lines.map((line) => line['decision_id']))
  expect(acknowledged.filter((mark) => !written.has(mark))).toEqual([])
  expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at + 1))
  expect(await verifyLog(log)).toMatchObject({ ok: true, tornTailBytes: 0, records: lines.length })
  expect(segmentFiles(log).some(isCompressed)).toBe(true)
}, 600_000)

test('while the file cannot grow nothing is acknowledged, and it recovers by itself when it can', async () => {
  const log = temporaryLog()
  const child = startChild('prlimit', ['--fsize=50000:unlimited', process.execPath, APPENDER, log, 'fsync', 'x', '4'])
  await until(() => marksOf(child, 'refused').length > 40)
  expect(statSync(newest(log)).size).toBeLessThanOrEqual(50_000)
  // Between a write that failed half-way and its repair a torn tail may stand there, but never a broken record.
  expect((await verifyLog(log)).firstBad).toBeUndefined()

  execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited'])
  await until(() => child.lines.at(-1)!.startsWith('ok') && statSync(newest(log)).size > 100_000)
  child.process.kill('SIGTERM')
  await child.exited

  expect(child.lines.at(-1)).toBe('closed')
  expect(acknowledgedDuringOutage(child.lines)).toEqual([])
  expect(child.lines.filter((line) => line.startsWith('refused') && !line.endsWith(' audit_unavailable'))).toEqual([])
  const finallyWritten = await recorded(log)
  expect(marksOf(child, 'ok').filter((mark) => !finallyWritten.has(mark))).toEqual([])
  expect(marksOf(child, 'refused').filter((mark) => finallyWritten.has(mark))).toEqual([])
  expect((await readAuditLines(log)).find(({ event }) => event === 'audit_recovered')).toMatchObject({
    reason: 'write failed: EFBIG',
  })
  expect((await verifyLog(log)).ok).toBe(true)
})

function acknowledgedDuringOutage(lines: readonly string[]): string[] {
  let healthy = true
  return lines.filter((line) => {
    if (line.startsWith('health ')) healthy = line === 'health true'
    return !healthy && line.startsWith('ok ')
  })
}

test('a second process is refused, and the lock is free as soon as its holder is killed', async () => {
  const log = temporaryLog()
  const holder = startChild(process.execPath, [APPENDER, log, 'write', 'x', '1'])
  await until(() => holder.lines.includes('open'))
  await expect(openLog(log)).rejects.toThrow('another controller writes to it')
  holder.process.kill('SIGKILL')
  await holder.exited
  const audit = await openLog(log)
  expect(audit.health().ok).toBe(true)
})
