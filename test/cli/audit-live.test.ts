// The commands that read the audit log, beside a controller that rotates, compresses and removes segments without a pause.
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startKeeper } from '../../src/controller/audit-keeper/keeper.ts'
import { openCheckpoints } from '../../src/controller/audit/checkpoints.ts'
import { checkAudit } from '../../src/cli/checks/audit.ts'
import { auditLogsOf } from '../../src/cli/audit-config.ts'
import { openLog, outcome, SILENT, temporaryLog } from '../controller/audit/support.ts'
import { segmentFiles, slotOf } from '../fixtures/audit-log.ts'
import { until } from '../fixtures/until.ts'
import { crank } from './in-process.ts'
import { NO_CREDENTIALS } from '../fixtures/no-credentials.ts'

vi.setConfig({ testTimeout: 60_000 })

const ROUNDS = 4
const KEPT_BYTES = 200_000
/** Some 50 segments a second; a busy controller has one in an hour. */
const PACE_MS = 20

let state = ''
beforeEach(async () => {
  state = dirname(dirname(temporaryLog()))
  await Promise.all([0, 1].map(writeWithoutEnd))
})

/** A segment for each batch of records, of which the newest few stay, until the test ends. */
async function writeWithoutEnd(slot: number): Promise<void> {
  const folder = slotOf(state, slot)
  let seen = (): void => undefined
  const audit = await openLog(folder, { onHead: () => seen() })
  const log = SILENT
  const origin = `crank.local/controller/audit/${slot}`
  const checkpoints = await openCheckpoints(
    { folder, origin, now: Date.now, monotonic: () => performance.now(), log },
    audit.health().head,
  )
  const keeper = startKeeper({
    data: {
      folder,
      keep: { maxAgeMs: undefined, maxBytes: KEPT_BYTES },
      keepOfAll: { maxAgeMs: undefined, maxBytes: undefined },
      full: 'stop',
      minFree: { bytes: 1 },
      slot: 0,
      shipping: [],
      durableSeq: new SharedArrayBuffer(8),
    },
    audit,
    log,
    now: Date.now,
    credentials: NO_CREDENTIALS,
    pauseMs: 1,
  })
  seen = () => {
    checkpoints.seen(audit.health().head)
    keeper.wake()
  }
  const over = new AbortController()
  const writing = (async () => {
    while (!over.signal.aborted) {
      const made = Array.from({ length: 500 }, (_, n) => audit.append(outcome(`mark-${n}`)))
      await Promise.all(made)
      await audit.rotate()
      await delay(PACE_MS)
    }
  })()
  onTestFinished(async () => {
    over.abort()
    await writing
    await keeper.close()
    await audit.close()
    await checkpoints.close()
  })
  await until(
    'old segments are removed',
    () => existsSync(folder) && !segmentFiles(folder).some((file) => file.includes('/1.')),
  )
}

test('verify finds no fault, since it reads the checkpoints before the segments', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { code, stdout, stderr } = await crank(['audit', 'verify', '--state-dir', state, '--json'])
    expect([stderr, code, stdout]).toMatchObject(['', 0, expect.stringContaining('"ok": true')])
  }
})

test('export, search and tail pass over what was removed meanwhile', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    for (const args of [['export'], ['search', '--outcome', 'completed', '--limit', '5'], ['tail', '--since', '1h']]) {
      const { code, stdout } = await crank(['audit', ...args, '--state-dir', state])
      expect([args, code, stdout === '']).toEqual([args, 0, false])
    }
  }
})

test('check finds no fault', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const findings = await checkAudit(() => auditLogsOf({ stateDir: state }, {}), {}, Date.now)
    expect(findings.filter(({ status }) => status === 'fail')).toEqual([])
  }
})
