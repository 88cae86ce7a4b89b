import { afterEach, expect, test } from 'vitest'
import type { RegisterBody } from '../../src/core/wire.ts'
import { createLogger } from '../../src/platform/logger.ts'
import type { ControllerReply } from '../../src/worker/controller-client.ts'
import { startRegistration, type Registration } from '../../src/worker/registration.ts'
import { until } from '../fixtures/until.ts'

const body: RegisterBody = { worker_id: 'worker-echo', worker_url: 'https://127.0.0.1:1', capabilities: [] }
type Reply = Omit<ControllerReply, 'controller'>
const registered: Reply = {
  status: 200,
  body: {
    status: 'registered',
    worker_id: 'worker-echo',
    capabilities_registered: 0,
    lease: 'lease-1',
    heartbeat_interval_ms: 10,
  },
}
const acknowledged: Reply = { status: 200, body: { status: 'acknowledged', timestamp: 'now' } }
const denied: Reply = {
  status: 403,
  body: { error: 'registration_denied', reason: 'Worker spiffe://x/y not authorized to register: no manifest' },
}
const forgotten: Reply = { status: 404, body: { error: 'worker_not_registered' } }
const down = new Error('connect ECONNREFUSED')

type Step = Reply | Error
const controller = { name: 'https://127.0.0.1:1', url: 'https://127.0.0.1:1' }
const open: Registration[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((registration) => registration.close()))
})

/** Registers against answers given in order; the last one of a path is repeated. */
function registerWith(answers: Record<string, Step[]>) {
  const asked: { path: string; body: unknown }[] = []
  const lines: string[] = []
  const log = createLogger({ level: 'info', service: 'test', destination: { write: (line) => void lines.push(line) } })
  const post = (path: string, sent: unknown): Promise<ControllerReply> => {
    asked.push({ path, body: sent })
    const left = answers[path] ?? [acknowledged]
    const step = left.length > 1 ? left.shift()! : left[0]!
    return step instanceof Error ? Promise.reject(step) : Promise.resolve({ ...step, controller })
  }
  const load = () => 3
  const timing = { firstRetryMs: 1, deniedRetryMs: 5, random: () => 0.5 }
  const registration = startRegistration({ client: { post }, body, load, log, ...timing })
  open.push(registration)
  const events = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const count = (path: string) => asked.filter((one) => one.path === path).length
  return { registration, asked, events, count }
}

test('says of a controller that answers without TLS that it may be the admin listener', async () => {
  const plain = Object.assign(new Error('wrong version number'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' })
  const { registration, events } = registerWith({ '/register': [plain, registered] })
  await registration.registered
  expect(events()[0]).toMatchObject({
    event: 'controller_unavailable',
    reason: expect.stringMatching(/^CONTROLLER_URL answers without TLS: is it the admin listener\?/),
  })
})

test('registers and then sends heartbeats with lease and load', async () => {
  const { registration, asked, count } = registerWith({ '/register': [registered] })
  await registration.registered
  expect(registration.isRegistered()).toBe(true)
  await until('two heartbeats came', () => count('/heartbeat') >= 2)
  expect(asked[0]).toStrictEqual({ path: '/register', body })
  expect(asked[1]).toStrictEqual({
    path: '/heartbeat',
    body: { worker_id: 'worker-echo', lease: 'lease-1', load: 3 },
  })
})

test('tries again until the controller is there, and says so once', async () => {
  const { registration, events, count } = registerWith({ '/register': [down, down, down, registered] })
  await registration.registered
  expect(count('/register')).toBe(4)
  const said = events().map(({ event }) => event)
  expect(said).toStrictEqual(['controller_unavailable', 'controller_available', 'worker_registered'])
})

test('a denial is said with the reason of the policy, and asked again', async () => {
  const { registration, events } = registerWith({ '/register': [denied, denied, registered] })
  await registration.registered
  expect(events()[0]).toMatchObject({
    level: 'warn',
    event: 'worker_registration_denied',
    reason: 'Worker spiffe://x/y not authorized to register: no manifest',
  })
  expect(events().filter(({ event }) => event === 'worker_registration_denied')).toHaveLength(1)
})

test('a block is said as a denial, and a lease that it ends is asked for again slowly', async () => {
  const reason = 'Worker spiffe://x/y not authorized: the identity is blocked'
  const blocked = { status: 403, body: { error: 'capability_access_denied', reason_code: 'identity_blocked', reason } }
  const { registration, events, count } = registerWith({
    '/register': [registered, blocked, blocked, registered],
    '/heartbeat': [acknowledged, blocked, acknowledged],
  })
  await registration.registered
  await until('it is back', () => count('/register') === 4)
  expect(events().filter(({ event }) => event === 'worker_registration_denied')).toMatchObject([{ reason }])
})

test('a request that the controller refuses is said with its code', async () => {
  const wrong = { status: 400, body: { error: 'request_invalid', reason: 'worker_url has a path' } }
  const { registration, events } = registerWith({ '/register': [wrong, registered] })
  await registration.registered
  expect(events()[0]).toMatchObject({
    event: 'worker_registration_refused',
    reason: 'request_invalid: worker_url has a path',
  })
})

test('an answer that is not a registration is trouble, not a registration', async () => {
  const { registration, events } = registerWith({ '/register': [{ status: 200, body: {} }, registered] })
  await registration.registered
  expect(events()[0]).toMatchObject({ event: 'controller_unavailable' })
})

test('registers again when the controller has forgotten the worker', async () => {
  const { registration, count } = registerWith({
    '/register': [registered],
    '/heartbeat': [acknowledged, forgotten, acknowledged],
  })
  await registration.registered
  await until('it is back', () => count('/register') === 2 && count('/heartbeat') >= 3)
  expect(registration.isRegistered()).toBe(true)
})

test('keeps its lease while the controller is away, and goes on with it', async () => {
  const { registration, events, count } = registerWith({
    '/register': [registered],
    '/heartbeat': [down, down, { status: 503, body: {} }, acknowledged],
  })
  await registration.registered
  await until('five heartbeats came', () => count('/heartbeat') >= 5)
  expect(count('/register')).toBe(1)
  expect(events().map(({ event }) => event)).toStrictEqual([
    'worker_registered',
    'controller_unavailable',
    'controller_unavailable',
    'controller_available',
  ])
})

test('deregisters when it is closed', async () => {
  const { registration, asked } = registerWith({ '/register': [registered] })
  await registration.registered
  await registration.close()
  expect(asked.at(-1)).toStrictEqual({ path: '/deregister', body: { worker_id: 'worker-echo', lease: 'lease-1' } })
  expect(registration.isRegistered()).toBe(false)
})

test('closes at once while it is waiting for a controller', async () => {
  const { registration, count } = registerWith({ '/register': [denied] })
  await until('it has asked', () => count('/register') > 0)
  await registration.close()
  expect(count('/deregister')).toBe(0)
})
