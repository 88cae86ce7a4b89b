// The lame-duck time: after SIGTERM a controller is not ready, but it still serves calls, so that callers can move.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'
import { readAuditLines } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 60_000 })

const CALLERS = 20

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
afterEach(async () => {
  await worker.close()
  await parties.close()
})
beforeEach(async () => {
  parties = await createParties()
})

async function start(lameDuckMs: number): Promise<void> {
  const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
  controller = await startControllerProcess({ ...env, CRANK_LAME_DUCK_MS: String(lameDuckMs) })
  worker = await startFakeWorker({ ...parties, request: parties.request.bind(undefined, controller.origin) }, greets)
  expect((await worker.register()).status).toBe(200)
}

const hello = (): Promise<Answer> =>
  parties.request(
    controller.origin,
    STREAMING,
    postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }),
  )
const isReady = async (): Promise<boolean> =>
  fetch(`${controller.adminOrigin}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  )
const logged = (event: string): boolean => controller.log.some((line) => line.event === event)

describe('a controller that gets SIGTERM', () => {
  test('is not ready at once, but answers calls and asks their callers to reconnect', async () => {
    await start(2500)
    expect((await hello()).headers['connection']).toBe('keep-alive')
    const stopped = controller.stop('SIGTERM')
    await until('it is not ready', async () => !(await isReady()))
    const answer = await hello()
    expect(answer).toMatchObject({ status: 200, body: { greeting: 'hi' } })
    expect(answer.headers['connection']).toBe('close')
    const readiness = (await (await fetch(`${controller.adminOrigin}/readyz`)).json()) as { checks: unknown[] }
    expect(readiness.checks).toContainEqual({ name: 'lifecycle', ok: false, reason: 'shutting down' })
    expect(logged('controller_leaving')).toBe(true)
    expect(logged('controller_draining')).toBe(false)
    expect(await stopped).toEqual({ code: 0, signal: null })
  })

  test('fails no call of callers that follow readiness', async () => {
    await start(2000)
    let ready = true
    let over = false
    const answers: Answer[] = []
    const failures: unknown[] = []
    const watch = async (): Promise<void> => {
      while (ready) {
        ready = await isReady()
        await delay(100)
      }
    }
    const call = async (): Promise<void> => {
      while (ready && !over)
        await hello().then(
          (answer) => answers.push(answer),
          (cause: unknown) => failures.push(cause),
        )
    }
    const callers = Promise.all([watch(), ...Array.from({ length: CALLERS }, call)])
    await until('calls are answered', () => answers.length > 5 * CALLERS)
    const stopped = controller.stop('SIGTERM')
    await callers
    over = true
    expect(await stopped).toEqual({ code: 0, signal: null })
    expect(failures).toEqual([])
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    const outcomes = (await readAuditLines(parties.auditLog)).filter(({ event }) => event === 'route_outcome')
    expect(outcomes).toHaveLength(answers.length)
  })
})

test('a controller that is interrupted at a terminal (SIGINT) does not wait', async () => {
  await start(600_000)
  expect(await controller.stop('SIGINT')).toEqual({ code: 0, signal: null })
  expect(logged('controller_leaving')).toBe(false)
})
