// A worker registers once for all controllers: where its registration and its heartbeats go. Real sockets.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { HeartbeatBody, RegisterBody } from '../../../src/core/wire.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { startRegistration, type Registration } from '../../../src/worker/registration.ts'
import { answerJson, type Script } from '../../../src/worker/testing/fake-controller.ts'
import { until } from '../../fixtures/until.ts'
import { openSeveral, refusal, type Linked, type Several } from './several.ts'

const body: RegisterBody = { worker_id: 'worker-echo', worker_url: 'https://127.0.0.1:1', capabilities: [] }

let several: Several
let a: Linked
let b: Linked
let registration: Registration
let lines: string[]
beforeEach(async () => {
  several = await openSeveral()
  a = await several.start()
  b = await several.start()
  lines = []
  const log = createLogger({ level: 'info', service: 'test', destination: { write: (line) => void lines.push(line) } })
  // The first request goes to the second of the list.
  const client = several.client([b.url, a.url])
  const timing = { firstRetryMs: 1, random: () => 0.5 }
  registration = startRegistration({ client, body, load: () => 0, log, ...timing })
  await registration.registered
})
afterEach(async () => {
  await registration.close()
  await several.close()
})

const sent = ({ fake }: Linked, path: string) => fake.received.filter((one) => one.path === path)
const leases = (controller: Linked) =>
  new Set(sent(controller, '/heartbeat').map((one) => (one.body as HeartbeatBody).lease))
const events = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
const registrations = () => sent(a, '/register').length + sent(b, '/register').length
const away: Script = (_call, response) =>
  answerJson(response, 200, { status: 'acknowledged', timestamp: 'now', mesh: 'away' })
const heartbeats = async (controller: Linked, more: number): Promise<void> => {
  const before = sent(controller, '/heartbeat').length
  await until('heartbeats came', () => sent(controller, '/heartbeat').length >= before + more)
}

test('it registers at one controller, names it, and sends it all heartbeats', async () => {
  await heartbeats(a, 5)
  expect(b.fake.received).toEqual([])
  expect(events()).toMatchObject([{ event: 'worker_registered', controller: a.url }])
})

test('while that one is away, another one gets the heartbeats, with the same lease', async () => {
  await heartbeats(a, 1)
  await a.link.set({ refuse: true })
  a.link.resetAll()
  await heartbeats(b, 5)
  expect(registrations()).toBe(1)
  expect(leases(b)).toEqual(leases(a))
  expect(events().slice(1)).toMatchObject([{ event: 'worker_heartbeats_moved', controller: b.url, from: a.url }])
  // It stays there when the first one is back.
  await a.link.set({})
  const before = sent(a, '/heartbeat').length
  await heartbeats(b, 5)
  expect(sent(a, '/heartbeat')).toHaveLength(before)
})

test('while that one hangs, too', async () => {
  await heartbeats(a, 1)
  await a.link.set({ silence: true })
  await heartbeats(b, 2)
  expect(registrations()).toBe(1)
  expect(leases(b)).toEqual(leases(a))
})

test('a controller that does not know the lease gets a registration', async () => {
  const unknown = refusal(404, 'worker_not_registered')
  const known: Script = (_call, response) => answerJson(response, 200, { status: 'acknowledged', timestamp: 'now' })
  b.fake.script('/heartbeat', (call, response) => (sent(b, '/register').length === 0 ? unknown : known)(call, response))
  await a.link.set({ refuse: true })
  a.link.resetAll()
  await until('it is registered again', () => sent(b, '/register').length === 1)
  await heartbeats(b, 2)
  expect(registrations()).toBe(2)
})

test('a refusal by a controller that cannot serve anybody sends the heartbeat to the next one', async () => {
  a.fake.script('/heartbeat', refusal(503, 'shutting_down'))
  await heartbeats(b, 3)
  expect(registrations()).toBe(1)
  expect(events().map(({ event }) => event)).not.toContain('controller_unavailable')
})

describe('a controller that has lost its mesh', () => {
  test('is left for another one that has not', async () => {
    a.fake.script('/heartbeat', away)
    await heartbeats(b, 8)
    expect(sent(a, '/heartbeat').length).toBeLessThan(5)
    expect(registrations()).toBe(1)
    expect(events().slice(1)).toMatchObject([
      { event: 'controller_mesh_away', controller: a.url },
      { event: 'worker_heartbeats_moved', controller: b.url, from: a.url },
    ])
  })

  test('keeps the worker while no other one is better, and the others are asked now and then', async () => {
    for (const one of [a, b]) one.fake.script('/heartbeat', away)
    await heartbeats(a, 8)
    await heartbeats(b, 1)
    expect(registrations()).toBe(1)
    b.fake.script('/heartbeat', undefined)
    await heartbeats(b, 10)
    const before = sent(a, '/heartbeat').length
    await heartbeats(b, 10)
    expect(sent(a, '/heartbeat')).toHaveLength(before)
    expect(events()).toContainEqual(expect.objectContaining({ event: 'controller_mesh_back', controller: b.url }))
  })

  test('keeps the worker while the other one is away', async () => {
    await b.link.set({ refuse: true })
    a.fake.script('/heartbeat', away)
    await heartbeats(a, 10)
    expect(registrations()).toBe(1)
  })
})

test('it deregisters once, at the controller that has its heartbeats', async () => {
  await heartbeats(a, 1)
  await registration.close()
  expect(sent(a, '/deregister')).toHaveLength(1)
  expect(b.fake.received).toEqual([])
})

test('it deregisters at another controller if that one has gone', async () => {
  await heartbeats(a, 1)
  await a.link.set({ refuse: true })
  a.link.resetAll()
  await registration.close()
  expect(sent(b, '/deregister')).toHaveLength(1)
})
