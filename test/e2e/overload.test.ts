// More calls than the controller can prepare, on real TLS: a policy engine that holds its answers keeps every place taken.
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startFakePdp, type FakePdp } from '../fakes/pdp.ts'
import { startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { HELLO, startMesh, STREAMING, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { honestPdp } from '../fixtures/pdp-honest.ts'
import { until } from '../fixtures/until.ts'

const CALL = { verb: 'invoke', capability: 'hello_world', payload: {} }
/** More than may be prepared at a time, whatever the limit has learned. */
const MANY = 200

let pdp: FakePdp
let mesh: Mesh
let worker: FakeWorker
/** Questions that the policy engine holds back, in order of arrival. */
let held: { priority: string | undefined; answer: () => void }[] = []
let isHolding = false
beforeAll(async () => {
  pdp = await startFakePdp(async (asked) => {
    if (isHolding && !honestPdp.isProbe(asked)) {
      const priority = /"priority":"(\w+)"/.exec(JSON.stringify(asked.body.input))?.[1]
      await new Promise<void>((answer) => held.push({ priority, answer }))
    }
    return honestPdp(asked)
  })
  mesh = await startMesh({ env: { OPA_URL: pdp.origin, OPA_TIMEOUT_MS: '60000' } })
  worker = await startFakeWorker(mesh, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  expect((await worker.register()).status).toBe(200)
})
afterAll(async () => {
  release()
  await worker.close()
  await mesh.close()
  await pdp.close()
})
beforeEach(() => {
  release()
  held = []
})

/** From now on the policy engine answers at once. */
function release(): void {
  isHolding = false
  for (const { answer } of held.splice(0)) answer()
}
async function metric(series: string): Promise<number> {
  const line = (await mesh.admin('/metrics')).text.split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? Number.NaN)
}
const waiting = (): Promise<number> => metric('controller_admission_waiting')
const call = (who: string, over: object = {}): Promise<Answer> => mesh.route(who, { ...CALL, ...over })

/** Takes every place, with at least one call that waits. */
async function fill(): Promise<{ answers: Promise<Answer>[]; inLine: number }> {
  isHolding = true
  const answers: Promise<Answer>[] = []
  for (let inLine = 0; inLine === 0; inLine = await waiting()) {
    if (answers.length >= MANY) throw new Error('there is still room')
    answers.push(...Array.from({ length: 8 }, () => call(STREAMING)))
    await until('they have arrived', async () => {
      return (await metric('controller_admission_in_flight')) + (await waiting()) === answers.length
    })
  }
  return { answers, inLine: await waiting() }
}

describe('a call that has to wait', () => {
  test('is refused when its time is over, and what it is told is recorded', async () => {
    const { answers } = await fill()
    const refused = await call(HELLO, { timeout_ms: 100 })
    expect(refused).toMatchObject({ status: 503, body: { error: 'overloaded' }, headers: { 'retry-after': '1' } })
    expect(
      await mesh.auditedAs((line) => line.event === 'request_refused' && line['error'] === 'overloaded'),
    ).toMatchObject({ reason: refused.body.reason })
    expect(await metric('controller_admission_refused_total{reason="load",priority="normal"}')).toBe(1)
    release()
    expect((await Promise.all(answers)).every(({ status }) => status === 200)).toBe(true)
  })

  test('has only the rest of its time for its worker', async () => {
    const { answers } = await fill()
    const late = call(HELLO, { timeout_ms: 20_000, idempotency_key: 'late' })
    const since = performance.now()
    await until('it has waited', () => performance.now() - since > 300)
    release()
    expect((await late).status).toBe(200)
    await Promise.all(answers)
    const rests = worker.seen.map(({ headers }) => Number(headers['x-crank-deadline-ms'] ?? Infinity))
    expect(Math.min(...rests)).toBeLessThanOrEqual(19_750)
  })

  test('leaves the line when its caller does', async () => {
    const { answers, inLine } = await fill()
    const own = await mesh.identity(HELLO)
    const socket = connect({
      socket: connectTcp(mesh.controller.port, '127.0.0.1'),
      ca: mesh.ca.certPem,
      cert: own.chainPem,
      key: own.keyPem,
    }).on('error', () => undefined)
    const body = JSON.stringify(CALL)
    const head = `POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`
    socket.write(`${head}\r\n${body}`)
    await until('it waits', async () => (await waiting()) === inLine + 1)
    socket.destroy()
    await until('it has left', async () => (await waiting()) === inLine)
    expect(await metric('controller_admission_refused_total{reason="left",priority="normal"}')).toBe(1)
    release()
    await Promise.all(answers)
  })

  test('with a higher priority is next', async () => {
    const { answers, inLine } = await fill()
    const places = held.length
    const [low, high] = [call(HELLO, { priority: 'low' }), call(HELLO, { priority: 'high' })]
    await until('both wait', async () => (await waiting()) === inLine + 2)
    await until('the questions of the first are there', () => held.length >= places)
    const ofBoth = () => held.find(({ priority }) => priority === 'low' || priority === 'high')
    // The limit may have fallen or risen: none or several may get the place of one.
    await until('one of both has a place', () => {
      if (ofBoth() === undefined) held.shift()?.answer()
      return ofBoth() !== undefined
    })
    expect(ofBoth()!.priority).toBe('high')
    release()
    const all = await Promise.all([low, high, ...answers])
    expect(all.filter(({ status }) => status !== 200).map(({ body }) => body as unknown)).toEqual([])
  })
})

describe('a line that stands for longer than a burst', () => {
  test('refuses a loud caller, while a quiet one gets its answers', async () => {
    const { answers } = await fill()
    const since = performance.now()
    let refusedLoud = 0
    const keepAsking = async (): Promise<void> => {
      while (performance.now() - since < 8000) if ((await call(STREAMING)).status === 503) refusedLoud += 1
    }
    const loud = Array.from({ length: 40 }, keepAsking)
    const refusals = Promise.all(loud)
    await until('the loud caller is refused', () => refusedLoud > 0)
    const quiet = Array.from({ length: 4 }, () => call(HELLO))
    // One place becomes free at a time.
    const serving = setInterval(() => held.shift()?.answer(), 10)
    expect((await Promise.all(quiet)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
    clearInterval(serving)
    release()
    await Promise.all(answers)
    await refusals
    expect(await metric('controller_admission_refused_total{reason="load",priority="normal"}')).toBeGreaterThan(1)
  })
})
