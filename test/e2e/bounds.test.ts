// Work before rights: what a caller without any right may cost is bounded before its body is parsed, and others are served.
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { exchange, openTls } from '../fixtures/raw-tls.ts'
import { until } from '../fixtures/until.ts'

/** No manifest names it. */
const STRANGER = 'worker/stranger'
const HELLO_CALL = { verb: 'invoke', capability: 'hello_world' }
const MEMBERS = Array.from({ length: 96_000 }, (_, n) => `"k${n}":1`).join(',')

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, greets)
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const post = (who: string, path: string, body: string): Promise<Answer> =>
  mesh.request(who, { path, method: 'POST', headers: { 'content-type': 'application/json' }, body })

describe('a body is refused before it is parsed', () => {
  // None of them is JSON to its end: whoever had parsed it first would say that.
  const cases: Record<string, readonly [path: string, body: string, reason: string]> = {
    '96,000 members': ['/route', `{"verb":"test",${MEMBERS},oops`, '("k0")'],
    'a name of half a megabyte': ['/route', `{"${'x'.repeat(500_000)}":oops`, `("${'x'.repeat(64)}")`],
    'a duplicate name': ['/route', '{"verb":"a","verb":oops', 'duplicate member "verb"'],
    'half a million levels': ['/route', `{"verb":"a","payload":${'['.repeat(500_000)}`, 'nested deeper than 32 levels'],
    '__proto__ in the payload': ['/route', '{"payload":{"__proto__":1},oops', '"__proto__" is not allowed'],
    'an unknown member in /register': ['/register', '{"worker_id":"a","x":oops', '("x")'],
    'a deep input_schema in /register': [
      '/register',
      `{"capabilities":[{"input_schema":${'{"a":'.repeat(31)}oops`,
      'nested deeper',
    ],
    'an unknown member in /heartbeat': ['/heartbeat', '{"lease":"a","x":oops', '("x")'],
    'an unknown member in /deregister': ['/deregister', '{"lease":"a","load":oops', '("load")'],
    'an array of a million bytes': ['/route', `[${'1,'.repeat(500_000)}`, 'body must be object'],
  }
  for (const [what, [path, body, reason]] of Object.entries(cases)) {
    test(`${what}: 400, saying what was wrong, recorded`, async () => {
      const answer = await post(STRANGER, path, body)
      expect(answer).toMatchObject({ status: 400, body: { error: 'request_invalid' } })
      expect(answer.body.reason).toContain(reason)
      expect(answer.body.reason.length).toBeLessThan(200)
      const record = await mesh.auditedAs((line) => line['decision_id'] === answer.headers['x-decision-id'])
      expect(record).toMatchObject({ event: 'request_refused', error: 'request_invalid' })
    })
  }

  test('a hundred thousand capabilities and a thousand and one questions are refused by their number', async () => {
    const many = `{"worker_id":"a","worker_url":"b","capabilities":[${'{},'.repeat(99_999)}{}]}`
    expect((await post(STRANGER, '/register', many)).body.reason).toContain('must NOT have more than 64 items')
    const questions = `{"questions":[${'{},'.repeat(1000)}{}]}`
    expect((await ask(questions)).body.reason).toContain('must NOT have more than 1000 items')
  })

  test('the same holds for questions on the admin listener', async () => {
    expect(await ask(`{"questions":[],${MEMBERS},oops`)).toMatchObject({
      status: 400,
      body: { error: 'request_invalid', reason: 'body must NOT have additional properties ("k0")' },
    })
  })

  async function ask(body: string): Promise<Pick<Answer, 'status' | 'body'>> {
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
    const response = await fetch(`${mesh.adminOrigin}/policy/ask`, options)
    return { status: response.status, body: await response.json() }
  }
})

test('a good caller is answered while four connections send the largest bodies that are still parsed', async () => {
  const room = 1_048_576 - 100
  const flood = [
    `{"verb":"test",${MEMBERS}}`.slice(0, room),
    `{"verb":"a","capability":"b","payload":{${MEMBERS}}}`,
    `{"verb":"a","capability":"b","payload":[${'[],'.repeat(room / 3 - 1)}[]]}`,
    `{"verb":"a","capability":"b","payload":[${'{"constructor":1},'.repeat(50_000)}1]}`,
  ]
  let isOver = false
  const refused = new Set<number>()
  const flooding = flood.map(async (body) => {
    do refused.add((await post(STRANGER, '/route', body)).status)
    while (!isOver)
  })
  const good: number[] = []
  for (let n = 0; n < 30; n++) good.push((await mesh.route(STREAMING, HELLO_CALL)).status)
  isOver = true
  await Promise.all(flooding)
  expect(good).toEqual(Array.from({ length: 30 }, () => 200))
  expect([...refused].sort()).toEqual([400, 403])
})

describe('bodies in flight', () => {
  const head = (length: number, path = '/route') =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`
  const call = JSON.stringify(HELLO_CALL)

  async function startBodies(on: Mesh, who: string, lengths: readonly number[]): Promise<TLSSocket[]> {
    return Promise.all(
      lengths.map(async (length) => {
        const socket = await openTls(on, who)
        socket.resume().write(head(length))
        return socket
      }),
    )
  }
  const isServed = async (who: string): Promise<boolean> => (await mesh.route(who, HELLO_CALL)).status === 200

  test('of one identity are four; a fifth gets 503 overloaded unread, and others are served', async () => {
    const open = await startBodies(mesh, STREAMING, [50, 50, 50, 50])
    await until('the four are on their way', async () => !(await isServed(STREAMING)))
    const fifth = await exchange(await openTls(mesh, STREAMING), head(50, '/heartbeat'))
    expect(fifth).toMatch(/^HTTP\/1\.1 503 /)
    expect(fifth).toMatch(/\r\nretry-after: 1\r\n/i)
    expect(fifth).toContain('"error":"overloaded"')
    expect((await mesh.route(HELLO, { verb: 'invoke', capability: 'hello_world' })).status).not.toBe(503)
    expect((await mesh.request(STREAMING, { path: '/workers' })).status).toBe(200)
    for (const socket of open) socket.destroy()
    await until('there is room again', () => isServed(STREAMING))
  })

  test('end with each way that a request ends', async () => {
    const ends: Record<string, (socket: TLSSocket) => void> = {
      'it is whole, and answered': (socket) => socket.write(call.padEnd(50)),
      'it is whole, and no JSON': (socket) => socket.write('x'.repeat(50)),
      'its caller leaves': (socket) => socket.destroy(),
      'its connection is ended half-way': (socket) => socket.end('{"verb"'),
    }
    for (const [what, end] of Object.entries(ends)) {
      const open = await startBodies(mesh, STREAMING, [50, 50, 50, 50])
      await until('there is no room', async () => !(await isServed(STREAMING)))
      for (const socket of open) end(socket)
      await until(`there is room, since ${what}`, () => isServed(STREAMING))
      for (const socket of open) socket.destroy()
    }
  })

  test('of one identity hold 4 MiB, by what they declare and by what arrives', async () => {
    const large = await startMesh({ env: { CRANK_BODY_LIMIT_BYTES: '4194304' } })
    const [declared] = await startBodies(large, STREAMING, [3_000_000])
    const answerTo = (bytes: number): Promise<string> =>
      openTls(large, STREAMING).then((it) => exchange(it, head(bytes)))
    await until('there is no room for as much', async () => (await answerTo(3_000_000)).startsWith('HTTP/1.1 503'))
    const chunked = await openTls(large, STREAMING)
    const chunks = `${(1_500_000).toString(16)}\r\n${'1'.repeat(1_500_000)}\r\n`
    const open = head(0).replace('Content-Length: 0', 'Transfer-Encoding: chunked')
    expect(await exchange(chunked, open + chunks)).toContain('"error":"overloaded"')
    declared!.destroy()
    await large.close()
  })
})

test('many small bodies of one caller at once are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, () => mesh.route(STREAMING, HELLO_CALL)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
})
