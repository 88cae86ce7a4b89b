// How a controller ends and comes back: calls in flight are finished, too long ones are cut, workers return by themselves.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { greets, startFakeWorker, type Execute, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { startMesh } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'
import { type AuditLine, readAuditLines, verifyLog } from '../fixtures/audit-log.ts'

// Starting a process takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

let parties: Parties
let env: NodeJS.ProcessEnv
let controller: ControllerProcess
beforeEach(async () => {
  parties = await createParties()
  env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir }
})
afterEach(() => parties.close())

const hello = (): Promise<Answer> =>
  parties.request(
    controller.origin,
    STREAMING,
    postJson('/route', { verb: 'invoke', capability: 'hello_world', payload: { message: 'x' } }),
  )
const audit = (): Promise<AuditLine[]> => readAuditLines(parties.auditLog)
const logged = (event: string): boolean => controller.log.some((line) => line.event === event)

/** A worker whose answers wait until they are let go. */
async function startHeldWorker(): Promise<FakeWorker & { letGo: () => void }> {
  const held: (() => void)[] = []
  const hold: Execute = (...call) => void held.push(() => greets(...call))
  const client = { ...parties, request: parties.request.bind(undefined, controller.origin) }
  const worker = await startFakeWorker(client, hold)
  expect((await worker.register()).status).toBe(200)
  return { ...worker, letGo: () => held.splice(0).forEach((answer) => answer()) }
}

async function accepts(origin: string): Promise<boolean> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const open = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false)
  socket.destroy()
  return open
}

describe('a controller that gets SIGTERM', () => {
  test('finishes the calls in flight, takes no new connection, records its end, and ends with 0', async () => {
    controller = await startControllerProcess(env)
    const worker = await startHeldWorker()
    const calls = [hello(), hello(), hello()]
    await until('the worker has the calls', () => worker.seen.length === calls.length)
    const stopped = controller.stop('SIGTERM')
    await until('the controller drains', () => logged('controller_draining'))
    await until('new connections are refused', async () => !(await accepts(controller.origin)))
    worker.letGo()
    for (const answer of await Promise.all(calls))
      expect(answer).toMatchObject({ status: 200, body: { greeting: 'hi' } })
    expect(await stopped).toEqual({ code: 0, signal: null })
    const records = await audit()
    expect(records.filter(({ event }) => event === 'route_outcome').map((line) => line['outcome'] as string)).toEqual([
      'completed',
      'completed',
      'completed',
    ])
    expect(records.at(-1)).toMatchObject({ event: 'controller_stopped' })
    expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, tornTailBytes: 0 })
    expect(logged('controller_stopped')).toBe(true)
    await worker.close()
  })

  test('cuts what lasts longer than the drain timeout, and records that too', async () => {
    controller = await startControllerProcess({ ...env, CRANK_DRAIN_TIMEOUT_MS: '300' })
    const worker = await startHeldWorker()
    const call = hello()
    const cut = expect(call).rejects.toThrow()
    await until('the worker has the call', () => worker.seen.length === 1)
    expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
    await cut
    const records = await audit()
    expect(records.find(({ event }) => event === 'route_outcome')).toMatchObject({
      outcome: 'shutdown',
      status: null,
      error: 'shutting_down',
    })
    expect(records.map(({ event }) => event)).toContain('controller_stopped')
    expect(await verifyLog(parties.auditLog)).toMatchObject({ ok: true, tornTailBytes: 0 })
    await worker.close()
  })
})

test('a stream that the drain cuts is recorded as cut by the shutdown, with the status that its caller has', async () => {
  const mesh = await startMesh({ env: { CRANK_DRAIN_TIMEOUT_MS: '100' } })
  const worker = await startFakeWorker(mesh, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
  })
  await worker.register()
  const call = '{"verb":"invoke","capability":"hello_world"}'
  const head = `POST /route HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${call.length}`
  const received = exchange(await openTls(mesh, STREAMING), `${head}\r\n\r\n${call}`)
  await until('the worker has the call', () => worker.seen.length === 1)
  await mesh.controller.close()
  expect(await received).toMatch(/data: 1\n\n\r\n$/)
  expect((await mesh.audit()).filter(({ event }) => event === 'route_outcome')).toMatchObject([
    { outcome: 'shutdown', status: 200, error: null },
  ])
  await worker.close()
  await mesh.close()
})

test('while it drains, readiness is red, and a further request on an open connection is refused as shutting_down', async () => {
  const mesh = await startMesh()
  const held: (() => void)[] = []
  const worker = await startFakeWorker(mesh, (...call) => void held.push(() => greets(...call)))
  await worker.register()
  const socket = await openTls(mesh, STREAMING)
  const call = '{"verb":"invoke","capability":"hello_world"}'
  const head = 'POST /route HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  const request = `${head}Content-Length: ${call.length}\r\n\r\n${call}`
  const received = exchange(socket, request)
  await until('the worker has the call', () => held.length === 1)
  const ended = mesh.controller.close()
  expect(JSON.parse((await mesh.admin('/readyz')).text)).toMatchObject({
    status: 'not_ready',
    checks: expect.arrayContaining([{ name: 'lifecycle', ok: false, reason: 'shutting down' }]),
  })
  socket.write(request)
  await mesh.auditedAs((line) => line.event === 'request_refused' && line['error'] === 'shutting_down')
  held[0]!()
  const answers = (await received).split('HTTP/1.1 ').slice(1)
  expect(answers.map((text) => text.slice(0, 3))).toEqual(['200', '503'])
  expect(answers[1]).toContain('"error":"shutting_down"')
  expect(answers[1]!.toLowerCase()).toContain('retry-after: 1')
  expect(worker.seen).toHaveLength(1)
  await ended
  await worker.close()
  await mesh.close()
})

/** How the registrations were decided. A worker asks again after trouble, and when its probe took too long. */
function registrationsIn(records: AuditLine[]): Set<unknown> {
  const decided = records.filter(({ event, decision }) => event === 'worker_registration' && decision !== 'error')
  return new Set(decided.map((line): unknown => line['decision']))
}

for (const [signal, how] of [
  ['SIGTERM', 'stopped'],
  ['SIGKILL', 'killed'],
] as const) {
  test(`a controller that was ${how} and started again has its worker back, by the worker itself`, async () => {
    const fast = { ...env, CRANK_HEARTBEAT_INTERVAL_MS: '500' }
    controller = await startControllerProcess(fast)
    const worker = await startRealWorker(parties, controller.origin, createHelloWorld())
    expect(await hello()).toMatchObject({ status: 200, body: { greeting: 'Hello, x!' } })
    await controller.stop(signal)
    controller = await startControllerProcess({ ...fast, CRANK_PORT: new URL(controller.origin).port })
    await until('the worker is back', async () => (await hello()).status === 200)
    const records = await audit()
    const restart = records.findLastIndex(({ event }) => event === 'controller_started')
    for (const run of [records.slice(0, restart), records.slice(restart)]) {
      expect(registrationsIn(run)).toEqual(new Set(['allow']))
    }
    await worker.close()
    expect(await controller.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  })
}
