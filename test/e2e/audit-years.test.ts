// The audit log of a running product that rotates, keeps little, signs and ships: nothing is lost, and all of it can be proven.
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { crank } from '../cli/crank.ts'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { readAuditLines, segmentFiles, slotOf } from '../fixtures/audit-log.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { startLogsReceiver } from '../fixtures/otlp-logs-receiver.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { startProcessPair } from '../fixtures/process-pair.ts'
import { until } from '../fixtures/until.ts'
import { isSealed } from '../controller/audit/support.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let parties: Parties
let vkey = ''
beforeAll(async () => {
  parties = await createParties()
  const key = await crank(['audit', 'key', '--out', join(parties.dir, 'audit.key')])
  expect(key.code).toBe(0)
  vkey = join(parties.dir, 'audit.pub')
  await writeFile(vkey, key.stdout)
})
afterAll(async () => {
  await parties.close()
})

const envOf = async (state: string, more: NodeJS.ProcessEnv = {}): Promise<NodeJS.ProcessEnv> => ({
  ...(await parties.tlsEnv('controller')),
  CRANK_STATE_DIR: state,
  CRANK_HEARTBEAT_INTERVAL_MS: '60000',
  CRANK_AUDIT_SEGMENT_SIZE: '64KiB',
  CRANK_AUDIT_SIGNING_KEY: join(parties.dir, 'audit.key'),
  ...more,
})
const GREET = postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: {} })
const callOn = (controller: ControllerProcess): Promise<Answer> => parties.request(controller.origin, STREAMING, GREET)

/** Starts a controller with a worker, makes `count` calls, and hands both over. */
async function withCalls(
  env: NodeJS.ProcessEnv,
  count: number,
  use: (controller: ControllerProcess, answers: readonly Answer[], worker: FakeWorker) => Promise<void>,
): Promise<void> {
  const controller = await startControllerProcess(env)
  const worker = await startFakeWorker(
    { ...parties, request: parties.request.bind(undefined, controller.origin) },
    greets,
  )
  try {
    expect((await worker.register()).status).toBe(200)
    const answers: Answer[] = []
    const callUp = async (): Promise<void> => {
      while (answers.length < count) answers.push(await callOn(controller))
    }
    await Promise.all(Array.from({ length: 8 }, callUp))
    await use(controller, answers, worker)
  } finally {
    await worker.close()
    await controller.stop('SIGTERM')
  }
}

describe('one process', () => {
  test('keeps what was asked for, ships every record in order, and proves the rest', async () => {
    const receiver = await startLogsReceiver()
    const state = join(parties.dir, 'one')
    const env = await envOf(state, {
      CRANK_AUDIT_KEEP: '150KiB',
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: receiver.url,
    })
    await withCalls(env, 400, async (controller, answers) => {
      const log = slotOf(state, 0)
      await until('old segments are removed', async () => (await readAuditLines(log))[0]!.seq > 1)
      const lines = await readAuditLines(log)
      const removal = lines.filter(({ event }) => event === 'audit_segments_removed')
      expect(removal.at(-1)).toMatchObject({ reason: 'size' })
      await until('one is compressed', () => segmentFiles(log).some((file) => file.endsWith('.zst')))

      await receiver.waitForBodies(lines.at(-1)!.seq)
      const shipped = receiver
        .bodies()
        .flatMap((body) => (body.startsWith('{"v":1') ? [JSON.parse(body) as { seq: number }] : []))
      const seqs = [...new Set(shipped.map(({ seq }) => seq))]
      expect(seqs).toEqual(seqs.map((_, at) => at + 1))
      expect(receiver.faults).toEqual([])
      const text = receiver.bodies().join('\n')
      expect(answers.filter(({ headers }) => !text.includes(headers['x-decision-id'] as string))).toEqual([])

      const proof = ['--checkpoint', `${controller.adminOrigin}/health`, '--public-key', vkey, '--json']
      await until('a checkpoint covers the log', async () => {
        const health = (await (await fetch(`${controller.adminOrigin}/health`)).json()) as { audit: Head[] }
        return health.audit[0]!.checkpoint?.includes(`\n${String(health.audit[0]!.seq)}\n`) === true
      })
      const { code, stdout } = await crank(['audit', 'verify', '--state-dir', state, ...proof])
      expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true }])

      const { text: metrics } = { text: await (await fetch(`${controller.adminOrigin}/metrics`)).text() }
      for (const name of ['audit_bytes', 'audit_oldest_record_timestamp_seconds', 'audit_disk_days_left'])
        expect(metrics).toMatch(new RegExp(`^controller_${name} [\\d+]`, 'm'))
      expect(metrics).toMatch(/^controller_audit_shipped_total\{target="otlp",outcome="accepted"\} \d+/m)

      const id = answers.at(-1)!.headers['x-decision-id'] as string
      const got = await crank(['audit', 'get', id, '--state-dir', state])
      expect(got).toMatchObject({ code: 0, stdout: expect.stringContaining(id) })
      const check = await crank(['check', '--state-dir', state, '--admin-url', controller.adminOrigin])
      expect(check.stdout).toMatch(/audit disk +.*of audit log, .* of the disk free/)
    })
  })

  test('with less room on the disk than it must leave refuses calls, says so, and still records its end', async () => {
    const state = join(parties.dir, 'full')
    const env = await envOf(state, { CRANK_AUDIT_MIN_FREE: '99%' })
    const controller = await startControllerProcess(env)
    const ready = async () => await (await fetch(`${controller.adminOrigin}/readyz`)).json()
    await until('it is not ready', async () => (await fetch(`${controller.adminOrigin}/readyz`)).status === 503)
    expect(await ready()).toMatchObject({
      checks: expect.arrayContaining([
        { name: 'audit', ok: false, reason: expect.stringContaining('CRANK_AUDIT_MIN_FREE') },
      ]),
    })
    expect(await callOn(controller)).toMatchObject({ status: 503, body: { error: 'audit_unavailable' } })
    const check = await crank(['check', '--state-dir', state], { env: { CRANK_AUDIT_MIN_FREE: '99%' } })
    expect(check).toMatchObject({ code: 1, stdout: expect.stringMatching(/× audit disk .*calls are refused/) })
    await controller.stop('SIGTERM')
    expect((await readAuditLines(slotOf(state, 0))).map(({ event }) => event)).toEqual([
      'audit_signing_key',
      'controller_started',
      'request_refused',
      'controller_stopped',
    ])
  })

  test('on a restored backup goes on behind the last record that it knew, and says that records are missing', async () => {
    const state = join(parties.dir, 'restored')
    const log = slotOf(state, 0)
    await (await startControllerProcess(await envOf(state))).stop('SIGTERM')
    await (await startControllerProcess(await envOf(state))).stop('SIGTERM')
    const { seq } = (await readAuditLines(log)).at(-1)!
    // Yesterday's backup has no second segment yet, but the newest checkpoint is still there.
    await rm(segmentFiles(log).at(-1)!)
    const third = await startControllerProcess(await envOf(state))
    await third.stop('SIGTERM')
    expect(third.log).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        event: 'audit_segment_opened',
        reason: 'rolled_back',
        previous_seq: seq,
      }),
    )
    const [first] = await readAuditLines(segmentFiles(log).at(-1)!)
    expect(first).toMatchObject({ seq: seq + 1, event: 'audit_segment_opened', reason: 'rolled_back' })
    const { code, stdout } = await crank(['audit', 'verify', '--state-dir', state])
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining('the folder has an older state than the controller knew'),
    ])
  })
})

test('a key that cannot sign is refused at the start', async () => {
  await mkdir(join(parties.dir, 'keys'))
  const file = join(parties.dir, 'keys/wrong.key')
  await writeFile(file, 'not a key', { mode: 0o600 })
  const { code, stderr } = await crank(['controller'], {
    env: await envOf(join(parties.dir, 'wrong'), { CRANK_AUDIT_SIGNING_KEY: file }),
  })
  expect([code, stderr]).toEqual([2, expect.stringMatching(/CRANK_AUDIT_SIGNING_KEY=.*has no private key in PEM/)])
})

test('several processes rotate together, and each has its checkpoint in /health', async () => {
  const state = join(parties.dir, 'pair')
  const pair = await startProcessPair(parties, await envOf(state))
  try {
    const { code, stdout } = await crank(['audit', 'rotate', '--admin-url', pair.adminOrigin])
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /^slot 0: a new segment begins with record \d+\nslot 1: a new segment begins with record \d+\n$/,
      ),
    ])
    const states = async (): Promise<Head[]> =>
      ((await (await fetch(`${pair.adminOrigin}/health`)).json()) as { audit: Head[] }).audit
    await until(
      'both have one',
      async () => (await states()).filter(({ checkpoint }) => checkpoint !== null).length === 2,
    )
    expect(await states()).toMatchObject(
      [0, 1].map((slot) => ({ slot, checkpoint: expect.stringContaining(`/audit/${slot}\n`) })),
    )
  } finally {
    await pair.stop('SIGTERM')
  }
  const verified = await crank(['audit', 'verify', '--state-dir', state, '--public-key', vkey])
  expect(verified.code).toBe(0)
})

describe('fewer processes than before', () => {
  const HOUR_AGO = new Date(Date.now() - 3_600_000)

  /** A controller of two processes that has ended: the records of the second one. */
  async function endedPair(env: NodeJS.ProcessEnv) {
    const pair = await startProcessPair(parties, env)
    await (await pair.lineTo(1)).close()
    await pair.stop('SIGTERM')
    const log = slotOf(env['CRANK_STATE_DIR']!, 1)
    return { log, left: await readAuditLines(log) }
  }

  test('what a process has left is shipped, compressed and removed all the same, and its chain goes on', async () => {
    const env = await envOf(join(parties.dir, 'fewer'))
    const { log, left } = await endedPair(env)
    const lastSeq = left.at(-1)!.seq
    for (const file of segmentFiles(log)) await utimes(file, HOUR_AGO, HOUR_AGO)
    const receiver = await startLogsReceiver()
    const shipping = { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: receiver.url, CRANK_AUDIT_KEEP: '1m' }
    const single = await startControllerProcess({ ...env, ...shipping })
    try {
      await until('what is left is removed', async () => (await readAuditLines(log))[0]!.seq > lastSeq, 60_000)
      const ofSlot = receiver.taken.filter(({ attributes }) => String(attributes['crank.audit.slot']) === '1')
      const seqs = new Set(ofSlot.flatMap(({ body }) => (body.startsWith('{"v":1') ? [seqOf(body)] : [])))
      expect(left.map(({ seq }) => seq).filter((seq) => !seqs.has(seq))).toEqual([])
      const removal = { event: 'audit_segments_removed', reason: 'age', first_seq: 1, last_seq: lastSeq }
      expect(await readAuditLines(log)).toContainEqual(expect.objectContaining(removal))
      const metrics = await (await fetch(`${single.adminOrigin}/metrics`)).text()
      const [, accepted] =
        /^controller_audit_shipped_total\{target="otlp",outcome="accepted"\} (\d+)/m.exec(metrics) ?? []
      expect(Number(accepted)).toBeGreaterThan(left.length)
      // Then it is closed: the last segment is complete, and says only how that came about.
      await until('its turn is over', () => isSealed(segmentFiles(log).at(-1)!), 60_000)
      const events = new Set((await readAuditLines(log)).map(({ event }) => event))
      expect([...events].sort()).toEqual(['audit_segment_opened', 'audit_segments_removed', 'audit_signing_key'])
    } finally {
      await single.stop('SIGTERM')
    }
    // The second process continues the chain that the first one has kept.
    const again = await startProcessPair(parties, env)
    await again.stop('SIGTERM')
    expect((await readAuditLines(log)).map(({ event }) => event)).toContain('controller_started')
    const proof = ['--state-dir', env['CRANK_STATE_DIR']!, '--public-key', vkey]
    expect((await crank(['audit', 'verify', ...proof])).code).toBe(0)
  })

  test('without a signing key its last segment is compressed, once; the next start changes nothing', async () => {
    const env = await envOf(join(parties.dir, 'fewer-unsigned'), { CRANK_AUDIT_SIGNING_KEY: undefined })
    const { log, left } = await endedPair(env)
    const single = await startControllerProcess(env)
    const isCompressed = () => segmentFiles(log)[0]!.endsWith('.zst') && segmentFiles(log).length === 2
    await until('it is compressed', isCompressed, 60_000)
    await single.stop('SIGTERM')
    const lines = await readAuditLines(log)
    expect(lines.map(({ event }) => event)).toEqual([...left.map(({ event }) => event), 'audit_segment_opened'])
    // A damaged log that comes after it is looked at later, and says that this one has been looked at.
    await mkdir(slotOf(env['CRANK_STATE_DIR']!, 2))
    await writeFile(join(slotOf(env['CRANK_STATE_DIR']!, 2), '1.jsonl'), 'not a record\n')
    const again = await startControllerProcess(env)
    await until('both are looked at', () => again.log.some(({ event }) => event === 'audit_slot_not_kept'))
    expect(again.log.find(({ event }) => event === 'audit_slot_not_kept')).toMatchObject({ slot: 2, level: 'warn' })
    expect((await fetch(`${again.adminOrigin}/readyz`)).status).toBe(200)
    await again.stop('SIGTERM')
    expect(await readAuditLines(log)).toEqual(lines)
    expect(await readFile(join(slotOf(env['CRANK_STATE_DIR']!, 2), '1.jsonl'), 'utf8')).toBe('not a record\n')
  })

  test('a folder of slots with something else in it stops nothing', async () => {
    const env = await envOf(join(parties.dir, 'fewer-foreign'))
    await mkdir(join(env['CRANK_STATE_DIR']!, 'audit'), { recursive: true })
    await writeFile(slotOf(env['CRANK_STATE_DIR']!, 7), 'a file')
    const single = await startControllerProcess(env)
    await until('it is said', () => single.log.some(({ event }) => event === 'audit_slot_not_kept'))
    await single.stop('SIGTERM')
  })
})

function seqOf(line: string): number {
  return (JSON.parse(line) as { seq: number }).seq
}

type Head = { readonly slot: number; readonly seq: number; readonly checkpoint: string | null }
