import { mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { checkpointFiles, readOwnCheckpoints } from '../../../src/audit/checkpoint-files.ts'
import { standingOf, trustedKey } from '../../../src/audit/checkpoint-trust.ts'
import { checkpointText, parseCheckpoints } from '../../../src/audit/checkpoint.ts'
import { GENESIS, type Head } from '../../../src/audit/chain.ts'
import { noteSigner, verifierKey } from '../../../src/audit/signed-note.ts'
import { verifySegments } from '../../../src/audit/verify.ts'
import { openCheckpoints } from '../../../src/controller/audit/checkpoints.ts'
import { SILENT, newest, openLog, outcome, temporaryFile, temporaryLog } from './support.ts'

const SIGNER = noteSigner('crank.local/controller/audit', generateKeyPairSync('ed25519').privateKey)
const ORIGIN = 'crank.local/controller/audit/0'
const NOW = Date.UTC(2026, 11, 1)
const headOf = (seq: number): Head => ({ seq, hash: seq.toString(16).padStart(64, '0') })

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => vi.useRealTimers())

type CheckpointsOptions = Parameters<typeof openCheckpoints>[0]

type Made = {
  readonly checkpoints: Awaited<ReturnType<typeof openCheckpoints>>
  readonly folder: string
  readonly next: () => Promise<number>
  readonly failed: () => Promise<void>
}

/** `next`: the number of the record of the next checkpoint that is made. `failed`: the next one could not be made. */
async function open(options: Partial<CheckpointsOptions> = {}, head = GENESIS): Promise<Made> {
  const folder = options.folder ?? dirname(temporaryFile())
  mkdirSync(folder, { recursive: true })
  let made = Promise.withResolvers<number>()
  let failure = Promise.withResolvers<null>()
  const checkpoints = await openCheckpoints(
    {
      folder,
      origin: ORIGIN,
      signer: SIGNER,
      now: () => NOW,
      monotonic: () => 0,
      log: SILENT,
      onMade: ({ seq }) => made.resolve(seq),
      onFailed: () => failure.resolve(null),
      ...options,
    },
    head,
  )
  onTestFinished(() => checkpoints.close())
  const next = async (): Promise<number> => {
    const seq = await made.promise
    made = Promise.withResolvers()
    return seq
  }
  const failed = async (): Promise<void> => {
    await failure.promise
    failure = Promise.withResolvers()
  }
  return { checkpoints, folder, next, failed }
}

test('asked for at once, by two, there is one checkpoint of what was seen, and no second one', async () => {
  const made: number[] = []
  const { checkpoints, folder } = await open({ onMade: ({ seq }) => void made.push(seq) })
  checkpoints.seen(headOf(4))
  await Promise.all([checkpoints.cover(), checkpoints.cover()])
  expect(made).toEqual([4])
  expect(readOwnCheckpoints(folder).newest).toMatchObject({ seq: 4 })
})

test('a second after the first new record there is a signed checkpoint of the newest one, in a private file', async () => {
  const { checkpoints, folder, next } = await open()
  checkpoints.seen(headOf(1))
  checkpoints.seen(headOf(7))
  expect(checkpoints.health()).toEqual({ failures: 0 })
  vi.advanceTimersByTime(1000)
  expect(await next()).toBe(7)
  const { newest } = readOwnCheckpoints(folder)
  expect(newest).toMatchObject({ ...headOf(7), origin: ORIGIN, time: '2026-12-01T00:00:00.000Z' })
  expect(standingOf(newest!, [trustedKey(verifierKey(SIGNER.verifier))])).toMatchObject({ standing: 'signed' })
  const file = checkpointFiles(folder).newest
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(checkpoints.health()).toEqual({ failures: 0, newest: { seq: 7, text: readFileSync(file, 'utf8') } })
})

test('a thousand new records do not wait for the second', async () => {
  const { checkpoints, next } = await open({}, headOf(500))
  checkpoints.seen(headOf(1499))
  checkpoints.seen(headOf(1500))
  expect(await next()).toBe(1500)
})

test('an idle controller has no timer, and one that has something new has one', async () => {
  const { checkpoints, next } = await open()
  expect(vi.getTimerCount()).toBe(0)
  checkpoints.seen(headOf(1))
  checkpoints.seen(headOf(2))
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(1000)
  expect(await next()).toBe(2)
  expect(vi.getTimerCount()).toBe(0)
})

test('records that come while a checkpoint is written are in the next one', async () => {
  const { checkpoints, next } = await open()
  checkpoints.seen(headOf(1000))
  checkpoints.seen(headOf(2500))
  expect(await next()).toBe(1000)
  expect(await next()).toBe(2500)
})

test('the end makes a last checkpoint, which is also kept in the history', async () => {
  const { checkpoints, folder } = await open()
  checkpoints.seen(headOf(3))
  await checkpoints.close()
  checkpoints.seen(headOf(4))
  expect(readOwnCheckpoints(folder).all.map(({ seq }) => seq)).toEqual([3, 3])
  expect(vi.getTimerCount()).toBe(0)
  expect(readdirSync(folder).sort()).toEqual(['checkpoint', 'checkpoints'])
})

test('the history gets one a minute, and begins a new file when it is too large', async () => {
  let nowMs = 0
  const { checkpoints, folder, next } = await open({ monotonic: () => nowMs })
  for (let seq = 1000; seq <= 4000; seq += 1000) {
    checkpoints.seen(headOf(seq))
    await next()
    nowMs += 30_000
  }
  const { history, older } = checkpointFiles(folder)
  const kept = () => parseCheckpoints(readFileSync(history, 'utf8')).found.map(({ seq }) => seq)
  expect(kept()).toEqual([1000, 3000])
  writeFileSync(history, `${'\n'.repeat(8 * 1024 * 1024)}${readFileSync(history, 'utf8')}`)
  checkpoints.seen(headOf(5000))
  await next()
  expect(kept()).toEqual([5000])
  expect(parseCheckpoints(readFileSync(older, 'utf8')).found).toHaveLength(2)
})

test('without a key the checkpoint is what would be signed', async () => {
  const { checkpoints, folder, next } = await open({ signer: undefined })
  checkpoints.seen(headOf(1000))
  await next()
  expect(readFileSync(checkpointFiles(folder).newest, 'utf8')).toBe(
    checkpointText({ ...headOf(1000), origin: ORIGIN, time: '2026-12-01T00:00:00.000Z' }),
  )
})

test('a checkpoint that cannot be written is counted, logged once, and made when it can be', async () => {
  const events: string[] = []
  const log = pino({}, { write: (line) => void events.push((JSON.parse(line) as { event: string }).event) })
  const folder = join(dirname(temporaryFile()), 'slot')
  const { checkpoints, next, failed } = await open({ folder, log })
  const { newest, history } = checkpointFiles(folder)
  // A folder in the place of the file, which fails for the superuser too.
  mkdirSync(newest)
  checkpoints.seen(headOf(1000))
  await failed()
  checkpoints.seen(headOf(3000))
  vi.advanceTimersByTime(1000)
  await failed()
  expect(checkpoints.health()).toEqual({ failures: 2 })
  rmdirSync(newest)
  // Nothing new came: what is not covered yet is tried again all the same.
  await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1))
  vi.advanceTimersByTime(1000)
  expect(await next()).toBe(3000)
  expect(events).toEqual(['audit_checkpoint_failed', 'audit_checkpoint_recovered', 'audit_checkpoint'])
  expect(parseCheckpoints(readFileSync(history, 'utf8')).found).toMatchObject([{ seq: 3000 }])
})

test('a callback that throws stops nothing', async () => {
  const { checkpoints, folder } = await open({
    onMade: () => {
      throw new Error('a metric')
    },
  })
  checkpoints.seen(headOf(1))
  await checkpoints.close()
  expect(checkpoints.health()).toMatchObject({ failures: 0, newest: { seq: 1 } })
  expect(readOwnCheckpoints(folder).newest).toMatchObject({ seq: 1 })
})

test('the log line is one a minute, and the last one at the end', async () => {
  const seqs: number[] = []
  const log = pino({}, { write: (line) => void seqs.push((JSON.parse(line) as { seq: number }).seq) })
  let nowMs = 0
  const { checkpoints, next } = await open({ log, monotonic: () => nowMs })
  for (const seq of [1000, 2000, 3000]) {
    checkpoints.seen(headOf(seq))
    await next()
    nowMs += 31_000
  }
  checkpoints.seen(headOf(3001))
  await checkpoints.close()
  expect(seqs).toEqual([1000, 3000, 3001])
})

test('a start on a log that is behind its checkpoint says so, and keeps that checkpoint as evidence', async () => {
  const first = await open()
  first.checkpoints.seen(headOf(2000))
  await first.next()
  const { folder } = first
  const events: unknown[] = []
  const log = pino({}, { write: (line) => void events.push(JSON.parse(line)) })
  const { checkpoints, next } = await open({ folder, log }, headOf(1200))
  expect(events).toMatchObject([{ event: 'audit_behind_checkpoint', seq: 1200, checkpoint_seq: 2000 }])
  expect(checkpoints.health()).toMatchObject({ behind: { seq: 2000, time: '2026-12-01T00:00:00.000Z' } })
  checkpoints.seen(headOf(2200))
  await next()
  const { newest: last, all } = readOwnCheckpoints(folder)
  expect(last).toMatchObject({ seq: 2200 })
  const kept = all.filter(({ seq }) => seq === 2000)
  expect(kept.map((one) => standingOf(one, [trustedKey(verifierKey(SIGNER.verifier))]).standing)).toEqual([
    'signed',
    'signed',
  ])
})

test('a start with a checkpoint that cannot be read goes on, and says so', async () => {
  const folder = join(dirname(temporaryFile()), 'slot')
  mkdirSync(checkpointFiles(folder).newest, { recursive: true })
  const events: unknown[] = []
  const log = pino({}, { write: (line) => void events.push(JSON.parse(line)) })
  const { checkpoints } = await open({ folder, log }, headOf(5))
  expect(checkpoints.health()).toEqual({ failures: 1 })
  expect(events).toMatchObject([{ event: 'audit_checkpoint_failed', reason: 'EISDIR' }])
})

test('a start on the same record with another hash is behind too, and one on the same log is not', async () => {
  const { checkpoints, folder } = await open({ signer: undefined })
  checkpoints.seen(headOf(5))
  await checkpoints.close()
  const same = await open({ folder }, headOf(5))
  expect(same.checkpoints.health().behind).toBeUndefined()
  const other = await open({ folder }, { seq: 5, hash: 'f'.repeat(64) })
  expect(other.checkpoints.health().behind).toMatchObject({ seq: 5 })
})

test('beside the writer, the last checkpoint is the head of the log, and the log proves to be whole', async () => {
  vi.useRealTimers()
  const folder = temporaryLog()
  const seen: { checkpoints?: Made['checkpoints'] } = {}
  const audit = await openLog(folder, { onWritten: () => seen.checkpoints?.seen(audit.health().head) })
  const { checkpoints } = await open({ folder }, audit.health().head)
  seen.checkpoints = checkpoints
  await Promise.all(Array.from({ length: 3000 }, (_, n) => audit.append(outcome(`d-${n}`))))
  await audit.close()
  await checkpoints.close()
  const { newest: last, all } = readOwnCheckpoints(folder)
  expect(last).toMatchObject(audit.health().head)
  const known = all.map(({ seq, hash }) => ({ seq, hash, source: 'a checkpoint' }))
  expect(await verifySegments([{ file: newest(folder) }], { isWhole: true, known })).toMatchObject({
    ok: true,
    records: 3000,
    provenUpTo: { seq: 3000 },
  })
})
