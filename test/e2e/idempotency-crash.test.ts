// The controller is killed under load with idempotency keys, again and again: each key is executed at most once, and a key
// whose fate nobody knows says so. CRANK_TEST_KILLS=200 is the full run.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

const IS_FULL_RUN = process.env['CRANK_TEST_KILLS'] !== undefined
const KILLS = Number(process.env['CRANK_TEST_KILLS'] ?? 8)
const CALLERS = 16
const ANSWERS_BEFORE_KILL = 60
const RESTART_LIMIT_MS = 60_000

let parties: Parties
let worker: FakeWorker
let controller: ControllerProcess
/** How often each key was executed. */
const executed = new Map<string, number>()
beforeAll(async () => {
  parties = await createParties()
  worker = await startFakeWorker(
    { ...parties, request: (path, options) => parties.request(controller.origin, path, options) },
    (request, response) => {
      const key = String(request.headers['idempotency-key'])
      const run = (executed.get(key) ?? 0) + 1
      executed.set(key, run)
      // Work of different lengths, so that a kill meets calls in every state.
      setTimeout(
        () => response.setHeader('content-type', 'application/json').end(JSON.stringify({ key, run })),
        executed.size % 7,
      )
    },
  )
})
afterAll(async () => {
  await worker.close()
  await parties.close()
})

/** What the callers of one key were told. `open`: the connection broke, so they ask again after the restart. */
type Fate = 'open' | 'answered' | 'unknown'

test(
  `${KILLS} kills under load: each key is executed at most once, or said to be unknown`,
  async () => {
    const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
    const fates = new Map<string, Fate>()
    const told = { answered: 0, replayed: 0, unknown: 0, in_progress: 0, broken: 0 }
    const note = (key: string, answer: Answer): void => {
      if (answer.status === 200) {
        expect(answer.body).toEqual({ key, run: 1 })
        expect(fates.get(key)).not.toBe('unknown')
        fates.set(key, 'answered')
        if (answer.headers['idempotent-replayed'] === 'true') told.replayed += 1
        else told.answered += 1
      } else if (answer.status === 409 && answer.body.error === 'idempotency_outcome_unknown') {
        expect(fates.get(key)).not.toBe('answered')
        fates.set(key, 'unknown')
        told.unknown += 1
      } else {
        // The other caller of the key was first, or the machine is too busy.
        expect([409, 503]).toContain(answer.status)
        if (answer.status === 409) expect(answer.body).toMatchObject({ error: 'idempotency_in_progress' })
        told.in_progress += 1
      }
    }
    const call = async (key: string): Promise<boolean> => {
      const body = { verb: 'invoke', capability: 'hello_world', payload: { key }, idempotency_key: key }
      if (!fates.has(key)) fates.set(key, 'open')
      const answer = await parties
        .request(controller.origin, STREAMING, postJson('/route', body))
        .catch(() => undefined)
      if (answer === undefined) told.broken += 1
      else note(key, answer)
      return answer !== undefined
    }
    /** Two callers share each key. */
    const callUntilItDies = async (prefix: string): Promise<void> => {
      for (let turn = 0; await call(`${prefix}-${turn}`); turn++);
    }
    const figures = (kills: number) => ({ kills, keys: fates.size, executed: executed.size, ...told })
    const settle = async (): Promise<void> => {
      const open = [...fates].filter(([, fate]) => fate === 'open').map(([key]) => key)
      await Promise.all(open.map(call))
    }

    for (let round = 0; round < KILLS; round++) {
      controller = await startControllerProcess(env)
      expect((await worker.register()).status).toBe(200)
      await settle()
      const target = told.answered + ANSWERS_BEFORE_KILL
      const callers = Array.from({ length: CALLERS }, (_, i) => callUntilItDies(`${round}-${i >> 1}`))
      await until('enough calls are answered', () => told.answered >= target, RESTART_LIMIT_MS)
      await delay(Math.random() * 20)
      expect(await controller.stop('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
      await Promise.all(callers)
      if (IS_FULL_RUN) process.stdout.write(`${JSON.stringify(figures(round + 1))}\n`)
    }
    controller = await startControllerProcess(env)
    expect((await worker.register()).status).toBe(200)
    await settle()
    // Whatever was answered once is answered in the same way now, by the last of many processes.
    const again = [...fates].filter(([, fate]) => fate === 'answered').slice(-500)
    for (const [key] of again) await call(key)
    expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })

    const lost = [...executed].filter(([key, runs]) => runs > 1 || fates.get(key) === 'open')
    expect(lost).toEqual([])
    expect([...fates].filter(([key, fate]) => fate === 'answered' && executed.get(key) !== 1)).toEqual([])
    expect([...fates].filter(([, fate]) => fate === 'open')).toEqual([])
    expect(told.replayed).toBeGreaterThanOrEqual(again.length)
    // The kills have met calls that were under way.
    expect(told.broken).toBeGreaterThan(KILLS)
  },
  60_000 + KILLS * 15_000,
)
