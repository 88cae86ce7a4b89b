// What the registry and the policy get of a worker's requests: the identity is the certificate's, never the body's.
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { createBodiesInFlight } from '../../../src/controller/routes/bodies-in-flight.ts'
import { registrationRoutes, type RegistrationRoutesOptions } from '../../../src/controller/routes/registration.ts'
import { AppError } from '../../../src/core/errors.ts'
import { CALLER, createRoutedApp, DECISION_ID } from '../../fixtures/routed-app.ts'

let app: FastifyInstance
afterEach(() => app.close())

const BODY = {
  worker_id: 'worker-streaming',
  worker_url: 'https://127.0.0.1:8443',
  capabilities: [
    {
      verb: 'stream',
      name: 'text_events',
      version: '1.0.0',
      input_schema: { type: 'object' },
      output_schema: { type: 'object' },
    },
  ],
}
const REPLY = {
  status: 'registered',
  worker_id: 'worker-streaming',
  capabilities_registered: 1,
  lease: 'l1',
  heartbeat_interval_ms: 10_000,
} as const
const CLAIM = { spiffeId: CALLER, workerId: 'worker-streaming', lease: 'l1' }

async function setUp(over: Partial<RegistrationRoutesOptions> = {}) {
  const told: unknown[] = []
  const options: RegistrationRoutesOptions = {
    bodyLimitBytes: 64 * 1024,
    bodies: createBodiesInFlight(),
    register(asked, body) {
      told.push([asked.caller, asked.decisionId, body])
      return Promise.resolve(REPLY)
    },
    heartbeat(claim, load) {
      told.push([claim, load])
      return { status: 'acknowledged', timestamp: '2026-11-24T10:00:00.000Z' }
    },
    deregister(claim) {
      told.push([claim])
      return Promise.resolve({ status: 'deregistered' })
    },
    ...over,
  }
  app = await createRoutedApp((scope) => scope.register(registrationRoutes, options))
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  return { told, post }
}

test('a registration is asked in the name of the peer', async () => {
  const { told, post } = await setUp()
  const answer = await post('/register', BODY)
  expect(answer.json()).toEqual(REPLY)
  expect(told).toEqual([[CALLER, DECISION_ID, BODY]])
})

test('a registration that is denied is a 403', async () => {
  const { post } = await setUp({ register: () => Promise.reject(new AppError('registration_denied', 'no manifest')) })
  const answer = await post('/register', BODY)
  expect(answer.statusCode).toBe(403)
  expect(answer.json()).toMatchObject({ error: 'registration_denied', reason: 'no manifest' })
})

test('a heartbeat claims a lease of the peer, with or without its load', async () => {
  const { told, post } = await setUp()
  const answer = await post('/heartbeat', { worker_id: 'worker-streaming', lease: 'l1', load: 3 })
  await post('/heartbeat', { worker_id: 'worker-streaming', lease: 'l1' })
  expect(answer.json()).toEqual({ status: 'acknowledged', timestamp: '2026-11-24T10:00:00.000Z' })
  expect(told).toEqual([
    [CLAIM, 3],
    [CLAIM, undefined],
  ])
})

test('a lease that is not in force is a 404, which makes the worker register again', async () => {
  const { post } = await setUp({
    heartbeat: () => {
      throw new AppError('worker_not_registered')
    },
  })
  const answer = await post('/heartbeat', { worker_id: 'worker-streaming', lease: 'l0' })
  expect(answer.json()).toMatchObject({ status: 404, error: 'worker_not_registered' })
})

test('a farewell claims a lease of the peer', async () => {
  const { told, post } = await setUp()
  expect((await post('/deregister', { worker_id: 'worker-streaming', lease: 'l1' })).json()).toEqual({
    status: 'deregistered',
  })
  expect(told).toEqual([[CLAIM]])
})

const refused: readonly [what: string, url: string, body: object][] = [
  ['a registration that brings an identity of its own', '/register', { ...BODY, spiffe_id: 'spiffe://crank.local/x' }],
  ['a registration without capabilities', '/register', { ...BODY, capabilities: undefined }],
  ['a heartbeat with a load that is not a number', '/heartbeat', { worker_id: 'a', lease: 'l', load: '1' }],
  ['a heartbeat without a lease', '/heartbeat', { worker_id: 'a' }],
  ['a farewell with a worker id that is none', '/deregister', { worker_id: 'a b', lease: 'l' }],
]
for (const [what, url, body] of refused) {
  test(`refuses ${what}`, async () => {
    const { told, post } = await setUp()
    const answer = await post(url, body)
    expect(answer.json()).toMatchObject({ status: 400, error: 'request_invalid' })
    expect(told).toEqual([])
  })
}
