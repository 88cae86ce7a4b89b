// The controller dies under load, again and again: no answered request without its record, and the chain always verifies.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines, verifyLog } from '../fixtures/audit-log.ts'

const KILLS = 10
const CALLERS = 16
const ANSWERS_BEFORE_KILL = 150
/** 20 ms, and what a busy machine and its disk add to them. */
const LOST_WITHIN_MS = 2000

type Answered = { readonly status: number; readonly atMs: number }

let parties: Parties
let worker: FakeWorker
let controller: ControllerProcess
beforeAll(async () => {
  parties = await createParties()
  worker = await startFakeWorker(
    { ...parties, request: (path, options) => parties.request(controller.origin, path, options) },
    greets,
  )
})
afterAll(async () => {
  await worker.close()
  await parties.close()
})

test(`survives ${KILLS} kills: what was answered or executed is recorded`, async () => {
  const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
  const auditFile = parties.auditLog
  const answered = new Map<string, Answered>()
  const killsMs: number[] = []
  for (let round = 0; round < KILLS; round++) {
    controller = await startControllerProcess(env)
    expect((await worker.register()).status).toBe(200)
    const target = answered.size + ANSWERS_BEFORE_KILL
    const callers = Array.from({ length: CALLERS }, (_, i) => callUntilItDies(controller.origin, i, answered))
    for (const caller of callers) caller.catch(() => undefined)
    await until('enough calls are answered', () => answered.size >= target)
    killsMs.push(Date.now())
    expect(await controller.stop('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
    await Promise.all(callers)
    // A torn last line may stand there until the next start: it was nobody's answer.
    const { firstBad } = await verifyLog(auditFile)
    expect(firstBad).toBeUndefined()
  }
  controller = await startControllerProcess(env)
  expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })

  expect(await verifyLog(auditFile)).toMatchObject({ ok: true, tornTailBytes: 0 })
  const decisions = new Map<string, string>()
  const outcomes = new Set<string>()
  for (const line of await readAuditLines(auditFile)) {
    if (line.event === 'policy_decision') decisions.set(line['decision_id'] as string, line['decision'] as string)
    if (line.event === 'route_outcome') outcomes.add(line['decision_id'] as string)
  }
  const unrecorded = [...answered].filter(
    ([id, { status }]) => decisions.get(id) !== (status === 200 ? 'allow' : 'deny'),
  )
  expect(unrecorded).toEqual([])
  // An outcome follows its answer by a few ms: a kill may take the last ones, and only those.
  const lost = [...answered].filter(([id, { status }]) => status === 200 && !outcomes.has(id))
  const late = lost.filter(
    ([, { atMs }]) => !killsMs.some((killMs) => atMs > killMs - LOST_WITHIN_MS && atMs < killMs + LOST_WITHIN_MS),
  )
  process.stdout.write(`${KILLS} kills: ${answered.size} answered, of these ${lost.length} without an outcome\n`)
  expect(late).toEqual([])
  const executed = worker.seen.map(({ headers }) => headers['x-crank-decision-id'] as string)
  expect(executed.filter((id) => decisions.get(id) !== 'allow')).toEqual([])
  expect(executed.length).toBeGreaterThan((KILLS * ANSWERS_BEFORE_KILL) / 4)
}, 180_000)

/** Calls in a loop, every fourth time for something that is denied, and notes what was answered, until the end. */
async function callUntilItDies(origin: string, seed: number, answered: Map<string, Answered>): Promise<void> {
  for (let turn = seed; ; turn++) {
    const call =
      turn % 4 === 0
        ? { verb: 'convert', capability: 'document_to_pdf' }
        : { verb: 'invoke', capability: 'hello_world' }
    try {
      // A 503 is a refusal of a machine that is too busy: no answer, and the checks below hold it to that.
      const { status, headers } = await parties.request(origin, STREAMING, postJson('/route', { ...call, payload: {} }))
      expect([200, 403, 503]).toContain(status)
      if (status !== 503) answered.set(headers['x-decision-id'] as string, { status, atMs: Date.now() })
    } catch (cause: unknown) {
      if (cause instanceof Error && cause.name === 'AssertionError') throw cause
      return
    }
  }
}
