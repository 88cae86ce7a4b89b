// What processes say, in one form, and what they never say: decisions with their ids, and nothing of anybody's secrets.
import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../src/platform/logger.ts'
import { capabilityError } from '../../src/worker/call-error.ts'
import { defineCapability, defineWorker } from '../../src/worker/define.ts'
import type { RunningWorker } from '../../src/worker/run.ts'
import { startControllerProcess, type ControllerProcess, type LogLine } from '../fixtures/controller-process.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../../scripts/lab/otlp-receiver.ts'
import { createParties, HELLO, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'
import { auditText } from '../fixtures/audit-log.ts'

vi.setConfig({ hookTimeout: 90_000 })

const CANARY = 'canary-7f3a'
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const KEY = `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI${CANARY}\n-----END PRIVATE KEY-----\n`
const SECRETS = {
  'content-type': 'application/json',
  authorization: `Bearer ${CANARY}-authorization`,
  cookie: `session=${CANARY}-cookie`,
  'x-api-key': `${CANARY}-header`,
  baggage: `secret=${CANARY}-baggage`,
  // Part of the trace by its definition: in spans it may stand.
  tracestate: 'vendor=canary-tracestate',
  traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`,
}

/** Under the name of the reference worker: fails as the payload says. */
const moody = defineWorker({
  id: 'worker-hello-world',
  requires: [],
  capabilities: [
    defineCapability({
      verb: 'invoke',
      name: 'hello_world',
      version: '1.0.0',
      input: Type.Object({ mood: Type.String(), password: Type.String(), key: Type.String() }),
      output: Type.Object({ mood: Type.Literal('good') }),
      errors: { SAD: { description: 'Sad.', retryable: false } },
      handler({ input, log }) {
        log.info({ event: 'mood_seen', mood: input.mood }, 'looked at the mood')
        if (input.mood === 'sad') throw capabilityError('SAD', 'so sad')
        if (input.mood === 'broken') throw new TypeError('out of order')
        return { mood: input.mood === 'good' ? 'good' : (input.password as 'good') }
      },
    }),
  ],
})

let parties: Parties
let receiver: OtlpReceiver
let controller: ControllerProcess
let worker: RunningWorker
const workerLog: LogLine[] = []
const answers: Record<string, Answer> = {}
beforeAll(async () => {
  parties = await createParties()
  receiver = await startOtlpReceiver()
  const otel = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${CANARY}-otlp`,
    OTEL_BSP_SCHEDULE_DELAY: '50',
  }
  const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir, LOG_LEVEL: 'trace', ...otel }
  controller = await startControllerProcess(env)
  const log = createLogger({
    level: 'trace',
    service: 'crank-worker-hello-world',
    destination: { write: (line) => void workerLog.push(JSON.parse(line) as LogLine) },
  })
  worker = await startRealWorker(parties, controller.origin, moody, { env: otel, log })
  let calls = 0
  const body = (verb: string, capability: string, mood = 'good'): object => ({
    verb,
    capability,
    payload: { mood, password: `${CANARY}-payload`, key: KEY },
    // The same key for another call would be refused.
    idempotency_key: `${CANARY}-key-${++calls}`,
  })
  const post = (options: object, as = STREAMING): Promise<Answer> =>
    parties.request(controller.origin, as, { ...options, method: 'POST', headers: SECRETS } as never)
  const moods = async (mood: string): Promise<Answer> => post(postJson('/route', body('invoke', 'hello_world', mood)))
  answers['allowed'] = await moods('good')
  answers['denied'] = await post(postJson('/route', body('convert', 'document_to_pdf')))
  answers['unserved'] = await post(postJson('/route', body('stream', 'text_events')))
  answers['declared failure'] = await moods('sad')
  answers['undeclared failure'] = await moods('broken')
  answers['wrong output'] = await moods('lying')
  answers['wrong input'] = await post(
    postJson('/route', { ...body('invoke', 'hello_world'), payload: `${CANARY}-text` }),
  )
  answers['broken input'] = await post({ path: '/route/invoke/hello_world', body: `{"password":"${CANARY}-broken` })
  answers['malformed'] = await post({ path: '/route', body: `{"verb":"${CANARY}-verb","password":` })
  answers['invalid'] = await post(postJson('/route', { ...body('invoke', 'hello_world'), priority: `${CANARY}-value` }))
  answers['unknown route'] = await post(postJson(`/nowhere?token=${CANARY}-query`, {}))
  const url = `https://user:${CANARY}-url@127.0.0.1:1`
  answers['registration'] = await post(
    postJson('/register', { worker_id: 'worker-hello-world', worker_url: url, capabilities: [] }),
    HELLO,
  )
  answers['raw'] = await post({ path: '/route/convert/document_to_pdf', body: `${CANARY}-raw` })
  await until('the last call is logged', () => logged('capability_access_denied').length === 2)
  const last = answers['raw'].headers['x-decision-id']
  await receiver.waitFor((spans) => spans.some(({ attributes }) => attributes['opa.decision_id'] === last))
})
afterAll(async () => {
  controller.child.kill('SIGKILL')
  await worker.close()
  await receiver.close()
  await parties.close()
})

const logged = (event: string): LogLine[] => controller.log.filter((line) => line.event === event)
const decisionOf = (name: string): unknown => answers[name]!.headers['x-decision-id']

describe('the application log', () => {
  const logs: Record<string, () => readonly LogLine[]> = {
    'crank-controller': () => controller.log,
    'crank-worker-hello-world': () => workerLog,
  }
  for (const [service, lines] of Object.entries(logs)) {
    test(`of ${service} is JSON, line for line, with time, level, service, event and message`, () => {
      for (const line of lines()) {
        expect(line).toMatchObject({
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          level: expect.stringMatching(/^[a-z]+$/),
          service,
          event: expect.stringMatching(/^[a-z]+(_[a-z]+)+$/),
          msg: expect.stringMatching(/\w/),
        })
      }
      expect(lines().length).toBeGreaterThan(5)
    })

    test(`of ${service} has trace, span and decision on every line about a request`, () => {
      const ofRequests = lines().filter((line) => 'requester' in line || 'caller' in line || 'decision_id' in line)
      for (const line of ofRequests) {
        expect(line).toMatchObject({
          trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
          span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
          decision_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        })
      }
      expect(ofRequests.length).toBeGreaterThan(5)
    })
  }

  test('has no field twice on a line', () => {
    for (const line of controller.lines)
      expect([...line.matchAll(/"(trace_id|decision_id|event)":/g)].map(([field]) => field)).toSatisfy(
        (fields: string[]) => new Set(fields).size === fields.length,
      )
  })

  test('reports an allowed call with requester, capability, reason, trace and decision', () => {
    expect(logged('capability_access_allowed').slice(0, 2)).toMatchObject([
      {
        level: 'info',
        requester: 'spiffe://crank.local/worker/streaming',
        capability: 'invoke:hello_world',
        reason: 'declared',
        trace_id: TRACE_ID,
        decision_id: decisionOf('allowed'),
      },
      { capability: 'stream:text_events' },
    ])
  })

  test('reports a denied call with the reason that the caller got', () => {
    const { body } = answers['denied']!
    expect(logged('capability_access_denied')[0]).toMatchObject({
      level: 'warn',
      requester: 'spiffe://crank.local/worker/streaming',
      capability: 'convert:document_to_pdf',
      reason: body.reason as string,
      trace_id: TRACE_ID,
      decision_id: decisionOf('denied'),
    })
    expect(body.reason).toContain('not authorized')
  })

  test('of a worker reports each call with the decision that let it in, and what its handler says too', () => {
    const of = (name: string) => workerLog.filter(({ decision_id }) => decision_id === decisionOf(name))
    expect(of('allowed')).toMatchObject([{ event: 'mood_seen', trace_id: TRACE_ID }, { event: 'call_completed' }])
    expect(of('undeclared failure').at(-1)).toMatchObject({ event: 'call_failed', level: 'error', error: 'INTERNAL' })
    expect(of('wrong output').at(-1)).toMatchObject({ event: 'call_failed', error: 'OUTPUT_INVALID' })
  })
})

test('the calls were what they were meant to be', () => {
  const statuses = Object.entries(answers).map(([name, { status }]) => [name, status])
  expect(Object.fromEntries(statuses)).toEqual({
    allowed: 200,
    denied: 403,
    unserved: 503,
    'declared failure': 422,
    'undeclared failure': 502,
    'wrong output': 502,
    'wrong input': 400,
    'broken input': 400,
    malformed: 400,
    invalid: 400,
    'unknown route': 404,
    registration: 400,
    raw: 403,
  })
})

describe('what a caller sent stands neither in', () => {
  const places: Record<string, () => Promise<string>> = {
    'the log of the controller': () => Promise.resolve(JSON.stringify(controller.log)),
    'the log of the worker': () => Promise.resolve(JSON.stringify(workerLog)),
    'the audit log': async () => (await auditText(parties.auditLog)).join('\n'),
    'the exported spans': () => Promise.resolve(receiver.bytes().toString('utf8')),
    'the metrics': async () => (await fetch(`${controller.adminOrigin}/metrics`)).text(),
    'error answers': () =>
      Promise.resolve(
        Object.values(answers)
          .map(({ text, headers }) => text + JSON.stringify(headers))
          .join('\n'),
      ),
  }
  for (const [place, read] of Object.entries(places)) {
    test(`${place}, nor does a private key`, async () => {
      const text = await read()
      expect(text.length).toBeGreaterThan(100)
      expect(text).not.toContain(CANARY)
      expect(text).not.toContain('PRIVATE KEY')
      for (const path of ['controller', HELLO]) {
        const key = await readFile((await parties.filesOf(path)).keyFile, 'utf8')
        const [, secret = ''] = key.split('\n')
        expect(secret).toMatch(/^[A-Za-z0-9+/=]{40,}$/)
        expect(text).not.toContain(secret)
      }
    })
  }

  test('what is read there is where it would stand: the worker’s own words do', () => {
    expect(JSON.stringify(workerLog)).toContain('out of order')
    expect(receiver.bytes().toString('utf8')).toContain('spiffe://crank.local/worker/streaming')
  })
})
