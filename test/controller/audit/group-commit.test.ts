import { describe, expect, test } from 'vitest'
import { GENESIS } from '../../../src/audit/chain.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { GroupCommit, type GroupCommitOptions } from '../../../src/controller/audit/group-commit.ts'
import type { Segments } from '../../../src/controller/audit/segments.ts'
import { outcome, SILENT, until } from './support.ts'

type Write = { bytes: string; succeed: () => void; fail: (cause: Error) => void }

/** A segment whose writes end when the test says so. */
function slowFile(): { file: Segments; writes: Write[]; closed: () => boolean } {
  const writes: Write[] = []
  let closed = false
  const append = (bytes: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      writes.push({ bytes: bytes.toString(), succeed: resolve, fail: reject })
    })
  const close = (): Promise<void> => {
    closed = true
    return Promise.resolve()
  }
  const segments = { due: () => undefined, begin: () => Promise.resolve(), append, close }
  return { file: segments as unknown as Segments, writes, closed: () => closed }
}

function commitTo(segments: Segments, opts: Partial<GroupCommitOptions> = {}): GroupCommit {
  const unlock = (): void => undefined
  return new GroupCommit({
    segments,
    head: GENESIS,
    left: undefined,
    now: () => 0,
    monotonic: () => 0,
    log: SILENT,
    maxQueued: 10,
    maxWaitMs: 5000,
    unlock,
    ...opts,
  })
}

const marksIn = (bytes: string): string[] => [...bytes.matchAll(/"decision_id":"([^"]+)"/g)].map((match) => match[1]!)
const codeOf = (promise: Promise<void>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (cause: unknown) => (cause as { code: string }).code,
  )

test('appends of one turn share a write, and those that come during it share the next', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file)
  const first = [audit.append(outcome('1')), audit.append(outcome('2'))]
  await until(() => writes.length === 1)
  const second = [audit.append(outcome('3')), audit.append(outcome('4'))]
  expect(audit.health()).toMatchObject({ ok: true, queued: 2, head: { seq: 0 } })
  writes[0]!.succeed()
  await Promise.all(first)
  await until(() => writes.length === 2)
  writes[1]!.succeed()
  await Promise.all(second)
  expect(writes.map(({ bytes }) => marksIn(bytes))).toEqual([
    ['1', '2'],
    ['3', '4'],
  ])
  expect(audit.health()).toMatchObject({ ok: true, queued: 0, lastDurableMs: 0, head: { seq: 4 } })
})

const turn = (): Promise<void> => new Promise(setImmediate)

test('while each turn brings further records they share a write, and one that comes alone does not wait', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file)
  const all = [audit.append(outcome('1')), audit.append(outcome('2'))]
  for (const mark of ['3', '4', '5']) {
    await turn()
    expect(writes).toEqual([])
    all.push(audit.append(outcome(mark)))
  }
  await until(() => writes.length === 1)
  writes[0]!.succeed()
  await Promise.all(all)
  const alone = audit.append(outcome('6'))
  await turn()
  expect(writes.map(({ bytes }) => marksIn(bytes))).toEqual([['1', '2', '3', '4', '5'], ['6']])
  writes[1]!.succeed()
  await alone
})

test('records that come all the time delay a write by a millisecond, not more', async () => {
  const { file, writes } = slowFile()
  let ms = 0
  const audit = commitTo(file, { monotonic: () => ms, maxQueued: 100 })
  const all = [audit.append(outcome('a')), audit.append(outcome('b'))]
  while (writes.length === 0) {
    expect(ms).toBeLessThan(1.2)
    await turn()
    ms += 0.1
    all.push(audit.append(outcome(String(ms))))
  }
  expect(ms).toBeGreaterThanOrEqual(0.9)
  while (audit.health().head.seq < all.length) {
    for (const { succeed } of writes) succeed()
    await turn()
  }
  await Promise.all(all)
})

test('a failed write refuses its batch and the queue, and leaves the chain where it was', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file)
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  const second = codeOf(audit.append(outcome('2')))
  writes[0]!.fail(Object.assign(new Error('ENOSPC: /secret/path'), { code: 'ENOSPC' }))
  expect(await Promise.all([first, second])).toEqual(['audit_unavailable', 'audit_unavailable'])
  expect(audit.health()).toMatchObject({ ok: false, reason: 'write failed: ENOSPC', queued: 0, head: { seq: 0 } })
})

test('after a failure the next append tries again, and the first record reports the outage', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file)
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  writes[0]!.fail(new Error('no'))
  await first
  expect(audit.health().ok).toBe(false)
  const second = audit.append(outcome('2'))
  await until(() => writes.length === 2)
  writes[1]!.succeed()
  await second
  const [recovered, record] = writes[1]!.bytes
    .split('\n')
    .map((line) => (line === '' ? null : (JSON.parse(line) as object)))
  expect(recovered).toMatchObject({ seq: 1, event: 'audit_recovered', reason: 'no', refused: 1 })
  expect(record).toMatchObject({ seq: 2, decision_id: '2' })
  expect(audit.health().ok).toBe(true)
})

test('without an append the log probes by itself until it recovers', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file)
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  writes[0]!.fail(new Error('no'))
  await first
  await until(() => writes.length === 2)
  writes[1]!.fail(new Error('still no'))
  await until(() => writes.length === 3)
  expect(audit.health()).toMatchObject({ ok: false, reason: 'no' })
  writes[2]!.succeed()
  await until(() => audit.health().ok)
  expect(audit.health().head.seq).toBe(1)
})

test('health reports how long the oldest record has waited, from its append until it is durable', async () => {
  const { file, writes } = slowFile()
  let nowMs = 0
  const audit = commitTo(file, { now: () => nowMs })
  expect(audit.health().oldestMs).toBe(0)
  const first = audit.append(outcome('1'))
  await until(() => writes.length === 1)
  nowMs = 300
  const second = audit.append(outcome('2'))
  nowMs = 400
  expect(audit.health()).toMatchObject({ queued: 1, oldestMs: 400 })
  writes[0]!.succeed()
  await first
  expect(audit.health().oldestMs).toBe(100)
  await until(() => writes.length === 2)
  writes[1]!.succeed()
  await second
  expect(audit.health().oldestMs).toBe(0)
  // A wall clock that is set back makes no negative age.
  const third = audit.append(outcome('3'))
  nowMs = 0
  expect(audit.health().oldestMs).toBe(0)
  await until(() => writes.length === 3)
  writes[2]!.succeed()
  await third
})

test('records that are given up before the disk are reported: those that waited too long, and those that found no room', async () => {
  const { file, writes } = slowFile()
  const dropped: number[] = []
  const audit = commitTo(file, { maxQueued: 2, maxWaitMs: 100, onDropped: (count) => dropped.push(count) })
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  const waiting = [codeOf(audit.append(outcome('2'))), codeOf(audit.append(outcome('3')))]
  expect(await codeOf(audit.append(outcome('4')))).toBe('audit_unavailable')
  expect(dropped).toEqual([1])
  expect(await Promise.all([first, ...waiting])).toEqual(new Array(3).fill('audit_unavailable'))
  expect(dropped.reduce((sum, count) => sum + count)).toBe(4)
  writes[0]!.succeed()
})

test('a listener of dropped records that throws, stops no record', async () => {
  const { file, writes } = slowFile()
  const throws = (): never => {
    throw new Error('not my day')
  }
  const audit = commitTo(file, { maxQueued: 1, onDropped: throws })
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  const second = codeOf(audit.append(outcome('2')))
  expect(await codeOf(audit.append(outcome('3')))).toBe('audit_unavailable')
  writes[0]!.fail(new Error('no'))
  expect(await Promise.all([first, second])).toEqual(['audit_unavailable', 'audit_unavailable'])
  const third = audit.append(outcome('4'))
  await until(() => writes.length === 2)
  writes[1]!.succeed()
  await third
  expect(audit.health()).toMatchObject({ ok: true })
})

test('a record whose write failed is not a dropped one', async () => {
  const { file, writes } = slowFile()
  const dropped: number[] = []
  const audit = commitTo(file, { onDropped: (count) => dropped.push(count) })
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  writes[0]!.fail(new Error('no'))
  expect(await first).toBe('audit_unavailable')
  expect(dropped).toEqual([])
})

test('nobody waits longer than the longest wait, and what was not yet in a write is not written', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file, { maxWaitMs: 100 })
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  const second = codeOf(audit.append(outcome('2')))
  expect(await Promise.all([first, second])).toEqual(['audit_unavailable', 'audit_unavailable'])
  expect(audit.health()).toMatchObject({ ok: false, reason: 'no record became durable for 100 ms', queued: 0 })
  writes[0]!.succeed()
  await until(() => writes.length === 2)
  writes[1]!.succeed()
  await until(() => audit.health().ok)
  expect(writes.map(({ bytes }) => marksIn(bytes))).toEqual([['1'], []])
  expect(writes[1]!.bytes).toContain('audit_recovered')
})

test('a full queue refuses the next record at once', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file, { maxQueued: 2 })
  const waiting = [audit.append(outcome('1')), audit.append(outcome('2'))]
  expect(await codeOf(audit.append(outcome('3')))).toBe('audit_unavailable')
  await until(() => writes.length === 1)
  writes[0]!.succeed()
  await Promise.all(waiting)
  expect(audit.health().ok).toBe(true)
})

test('a batch is bounded', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file, { maxQueued: 2000 })
  const all = Promise.all(Array.from({ length: 1300 }, (_, i) => audit.append(outcome(String(i)))))
  for (const [i, size] of [512, 512, 276].entries()) {
    await until(() => writes.length === i + 1)
    expect(marksIn(writes[i]!.bytes)).toHaveLength(size)
    writes[i]!.succeed()
  }
  await all
})

test('close waits for what is queued and refuses what comes later', async () => {
  const { file, writes, closed } = slowFile()
  const audit = commitTo(file)
  const first = audit.append(outcome('1'))
  await until(() => writes.length === 1)
  const closing = audit.close()
  expect(await codeOf(audit.append(outcome('2')))).toBe('audit_unavailable')
  expect(closed()).toBe(false)
  writes[0]!.succeed()
  await Promise.all([first, closing, audit.close()])
  expect(closed()).toBe(true)
})

test('close does not wait forever for a write that hangs, and leaves it its descriptor', async () => {
  const { file, writes, closed } = slowFile()
  const audit = commitTo(file, { maxWaitMs: 100 })
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  await audit.close()
  expect(closed()).toBe(false)
  expect(await first).toBe('audit_unavailable')
})

test('a patient record waits for a slow disk as long as it takes, and refuses nobody', async () => {
  const { file, writes } = slowFile()
  const audit = commitTo(file, { maxWaitMs: 50 })
  const first = audit.append(outcome('start'), { patient: true })
  await until(() => writes.length === 1)
  expect(await codeOf(audit.append(outcome('2')))).toBe('audit_unavailable')
  writes[0]!.succeed()
  await first
})

test('a step of the wall clock is one record between those before and after it, once, whichever way it went', async () => {
  const { file, writes } = slowFile()
  const clock = { wall: 1_000_000, monotonic: 0 }
  const audit = commitTo(file, { now: () => clock.wall, monotonic: () => clock.monotonic })
  const write = async (mark: string): Promise<string[]> => {
    const appended = audit.append(outcome(mark))
    const count = writes.length + 1
    await until(() => writes.length === count)
    writes.at(-1)!.succeed()
    await appended
    const lines = writes.at(-1)!.bytes.trimEnd().split('\n')
    return lines.map((line) => {
      const record = JSON.parse(line) as Record<string, unknown>
      return record['event'] === 'clock_stepped' ? `step ${String(record['step_ms'])}` : String(record['decision_id'])
    })
  }
  clock.wall += 60_000
  clock.monotonic += 60_000
  expect(await write('1')).toEqual(['1'])
  clock.wall -= 3_600_000
  expect(await write('2')).toEqual(['step -3600000', '2'])
  expect(await write('3')).toEqual(['3'])
  clock.wall += 1_900
  expect(await write('4')).toEqual(['4'])
  clock.wall += 86_400_000
  expect(await write('5')).toEqual(['step 86400000', '5'])
})

test('a step whose record could not be written is reported with the next batch', async () => {
  const { file, writes } = slowFile()
  const clock = { wall: 1_000_000 }
  const audit = commitTo(file, { now: () => clock.wall })
  clock.wall += 10_000
  const first = codeOf(audit.append(outcome('1')))
  await until(() => writes.length === 1)
  writes[0]!.fail(new Error('no'))
  await first
  await until(() => writes.length === 2)
  expect(writes[1]!.bytes).toContain('"event":"clock_stepped"')
  writes[1]!.succeed()
  await until(() => audit.health().ok)
})

describe('a record that rides', () => {
  const RIDES = { rides: true }

  test('is written with the next one that does not', async () => {
    const { file, writes } = slowFile()
    const audit = commitTo(file)
    const lost: unknown[] = []
    audit.note(outcome('1'), (error) => lost.push(error), RIDES)
    audit.note(outcome('2'), (error) => lost.push(error), RIDES)
    const last = audit.append(outcome('3'))
    await until(() => writes.length === 1)
    writes[0]!.succeed()
    await last
    expect(marksIn(writes[0]!.bytes)).toEqual(['1', '2', '3'])
    expect(audit.health()).toMatchObject({ queued: 0, head: { seq: 3 } })
    expect(lost).toEqual([])
  })

  test('is written by itself when no other comes, and again after a write that it came too late for', async () => {
    const { file, writes } = slowFile()
    const audit = commitTo(file)
    audit.note(outcome('1'), () => undefined, RIDES)
    await until(() => writes.length === 1)
    audit.note(outcome('2'), () => undefined, RIDES)
    writes[0]!.succeed()
    await until(() => writes.length === 2)
    writes[1]!.succeed()
    await until(() => audit.health().head.seq === 2)
    expect(writes.map(({ bytes }) => marksIn(bytes))).toEqual([['1'], ['2']])
  })

  test('asks for no write of its own while others are written', async () => {
    const { file, writes } = slowFile()
    const audit = commitTo(file)
    void audit.append(outcome('1'))
    await until(() => writes.length === 1)
    for (const mark of ['2', '3']) audit.note(outcome(mark), () => undefined, RIDES)
    const next = audit.append(outcome('4'))
    writes[0]!.succeed()
    await until(() => writes.length === 2)
    writes[1]!.succeed()
    await next
    expect(marksIn(writes[1]!.bytes)).toEqual(['2', '3', '4'])
  })

  test('is written before the log is closed', async () => {
    const { file, writes, closed } = slowFile()
    const audit = commitTo(file)
    audit.note(outcome('1'), () => undefined, RIDES)
    const ended = audit.close()
    await until(() => writes.length === 1)
    writes[0]!.succeed()
    await ended
    expect([marksIn(writes[0]!.bytes), closed()]).toEqual([['1'], true])
  })

  test('that cannot be written is told to whoever noted it, and counted', async () => {
    const { file, writes } = slowFile()
    const counts = { written: 0, lost: 0 }
    const audit = commitTo(file, {
      onWritten: (count) => (counts.written += count),
      onLost: (count) => (counts.lost += count),
    })
    const lost: string[] = []
    audit.note(outcome('1'), ({ code }) => lost.push(code), RIDES)
    const refused = codeOf(audit.append(outcome('2')))
    await until(() => writes.length === 1)
    writes[0]!.fail(new Error('EIO'))
    expect(await refused).toBe('audit_unavailable')
    expect([lost, counts]).toEqual([['audit_unavailable'], { written: 0, lost: 2 }])
  })
})

test('a record that cannot be written as text is lost and counted, and throws at nobody', async () => {
  const { file } = slowFile()
  let lost = 0
  const audit = commitTo(file, { onLost: (count) => (lost += count) })
  const broken = { ...outcome('1'), attempts_made: [() => undefined] } as unknown as AuditEvent
  const told: string[] = []
  audit.note(broken, ({ code }) => told.push(code))
  expect([told, await codeOf(audit.append(broken)), lost]).toEqual([['audit_unavailable'], 'audit_unavailable', 2])
})
