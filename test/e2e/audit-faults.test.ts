// The disk gives out under load (RLIMIT_FSIZE): no call without a record, and all is well again when there is room.
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines, verifyLog } from '../fixtures/audit-log.ts'

const FILE_LIMIT = 60_000
const CALLERS = 8

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
beforeAll(async () => {
  parties = await createParties()
  const env = {
    ...(await parties.tlsEnv('controller')),
    CRANK_STATE_DIR: parties.dir,
    CRANK_HEARTBEAT_INTERVAL_MS: '60000',
  }
  controller = await startControllerProcess(env, { prefix: ['prlimit', `--fsize=${FILE_LIMIT}:unlimited`] })
  const client = { ...parties, request: parties.request.bind(undefined, controller.origin) }
  worker = await startFakeWorker(client, greets)
  expect((await worker.register()).status).toBe(200)
})
afterAll(async () => {
  await worker.close()
  await parties.close()
})

const call = (capability = 'hello_world'): Promise<Answer> =>
  parties.request(controller.origin, STREAMING, postJson('/route', { verb: 'invoke', capability, payload: {} }))
const isFull = ({ status }: Answer): boolean => status === 503
const decisionIdOf = ({ headers }: Pick<Answer, 'headers'>): string => headers['x-decision-id'] as string

async function readiness(): Promise<{ status: number; audit: unknown }> {
  const response = await fetch(`${controller.adminOrigin}/readyz`)
  const { checks } = (await response.json()) as { checks: { name: string }[] }
  return { status: response.status, audit: checks.find(({ name }) => name === 'audit') }
}

/** Decision by decision id, as the file has it. */
async function recorded(): Promise<Map<unknown, unknown>> {
  const lines = await readAuditLines(parties.auditLog)
  const decisions = lines.filter(({ event }) => event === 'policy_decision')
  return new Map(decisions.map((line) => [line['decision_id'], line['decision']]))
}

const answers: Answer[] = []
const executed = (): string[] => worker.seen.map(({ headers }) => headers['x-crank-decision-id'] as string)

/** Shows that what the worker got, and what callers got, is in the file. */
async function expectAllRecorded(): Promise<void> {
  const decisions = await recorded()
  expect(executed().filter((id) => decisions.get(id) !== 'allow')).toEqual([])
  expect(
    answers
      .filter((answer) => answer.status === 200)
      .map(decisionIdOf)
      .filter((id) => decisions.get(id) !== 'allow'),
  ).toEqual([])
}

test('when the audit file can no longer grow, calls are refused as audit_unavailable and none is forwarded', async () => {
  const callUntilFull = async (): Promise<void> => {
    for (let refused = 0; refused < 5;) {
      const answer = await call()
      answers.push(answer)
      refused += Number(isFull(answer))
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, callUntilFull))
  const refused = answers.filter(isFull)
  expect(answers.length).toBeGreaterThan(refused.length)
  for (const answer of refused) {
    expect(answer).toMatchObject({ headers: { 'retry-after': '1' }, body: { error: 'audit_unavailable' } })
  }
  expect(executed()).not.toEqual(expect.arrayContaining([decisionIdOf(refused[0]!)]))
  expect(new Set(executed())).toEqual(new Set(answers.filter((answer) => !isFull(answer)).map(decisionIdOf)))
  await expectAllRecorded()
})

test('meanwhile nothing else is served without a record either: denials and registrations are 503', async () => {
  // A record shorter than a call's may still find room; each one that does takes some of it.
  await until('a denial is refused', async () => {
    const denial = await call('nothing_of_ours')
    answers.push(denial)
    return denial.status === 503
  })
  await until('a registration is refused', async () => (await worker.register()).status === 503)
  // A record smaller than a call's may still fit and end the outage: until the next call.
  let seen = await readiness()
  await until('readiness is red', async () => {
    await call()
    seen = await readiness()
    return seen.status === 503
  })
  expect(seen.audit).toEqual({ name: 'audit', ok: false, reason: 'write failed: EFBIG' })
  expect(controller.log).toContainEqual(
    expect.objectContaining({ event: 'audit_unavailable', reason: 'write failed: EFBIG' }),
  )
})

test('as soon as it can grow again, calls are served, and the chain holds with the outage in it', async () => {
  execFileSync('prlimit', ['--pid', String(controller.pid), '--fsize=unlimited'])
  await until('readiness is green', async () => (await readiness()).status === 200)
  answers.push(await call())
  expect(answers.at(-1)!.status).toBe(200)
  expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  await expectAllRecorded()
  const lines = await readAuditLines(parties.auditLog)
  expect(lines.find(({ event }) => event === 'audit_recovered')).toMatchObject({ reason: 'write failed: EFBIG' })
  expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, tornTailBytes: 0 })
})
