// What a controller process says, and what it never says: decisions with their ids, and nothing of anybody's secrets.
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { startControllerProcess, type ControllerProcess, type LogLine } from '../fixtures/controller-process.ts'
import { createParties, postJson, STREAMING, type Answer, type Parties } from '../fixtures/parties.ts'
import { until } from '../fixtures/until.ts'

vi.setConfig({ hookTimeout: 90_000 })

const CANARY = 'canary-7f3a'
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const SECRETS = {
  'content-type': 'application/json',
  authorization: `Bearer ${CANARY}-authorization`,
  cookie: `session=${CANARY}-cookie`,
  'x-api-key': `${CANARY}-header`,
  baggage: `secret=${CANARY}-baggage`,
  tracestate: `vendor=${CANARY}-tracestate`,
  traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`,
}

let parties: Parties
let controller: ControllerProcess
let worker: FakeWorker
const answers: Record<string, Answer> = {}
beforeAll(async () => {
  parties = await createParties()
  const env = { ...(await parties.tlsEnv('controller')), CRANK_STATE_DIR: parties.dir, LOG_LEVEL: 'trace' }
  controller = await startControllerProcess(env)
  const client = { ...parties, request: parties.request.bind(undefined, controller.origin) }
  worker = await startFakeWorker(client, greets)
  await worker.register()
  const body = (verb: string, capability: string): object => ({
    verb,
    capability,
    payload: { password: `${CANARY}-payload` },
    idempotency_key: `${CANARY}-key`,
  })
  const post = (options: object): Promise<Answer> =>
    parties.request(controller.origin, STREAMING, { ...options, method: 'POST', headers: SECRETS } as never)
  answers['allowed'] = await post(postJson('/route', body('invoke', 'hello_world')))
  answers['denied'] = await post(postJson('/route', body('convert', 'document_to_pdf')))
  answers['unserved'] = await post(postJson('/route', body('stream', 'text_events')))
  answers['malformed'] = await post({ path: '/route', body: `{"verb":"${CANARY}-verb","password":` })
  answers['invalid'] = await post(postJson('/route', { ...body('invoke', 'hello_world'), priority: `${CANARY}-value` }))
  answers['unknown route'] = await post(postJson(`/nowhere?token=${CANARY}-query`, {}))
  answers['raw'] = await post({ path: '/route/convert/document_to_pdf', body: `${CANARY}-raw` })
  await until('the last call is logged', () => logged('capability_access_denied').length === 2)
})
afterAll(async () => {
  controller.child.kill('SIGKILL')
  await worker.close()
  await parties.close()
})

const logged = (event: string): LogLine[] => controller.log.filter((line) => line.event === event)

describe('the application log', () => {
  test('is JSON, line for line, with time, level and service', () => {
    for (const line of controller.log) {
      expect(line).toMatchObject({
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        level: expect.stringMatching(/^[a-z]+$/),
        service: 'crank-controller',
      })
    }
    expect(controller.log.length).toBeGreaterThan(5)
  })

  test('tells an allowed call with requester, capability, reason, trace and decision', () => {
    expect(logged('capability_access_allowed')).toMatchObject([
      {
        level: 'info',
        requester: 'spiffe://crank.local/worker/streaming',
        capability: 'invoke:hello_world',
        reason: 'declared',
        trace_id: TRACE_ID,
        decision_id: answers['allowed']!.headers['x-decision-id'],
      },
      { capability: 'stream:text_events' },
    ])
  })

  test('tells a denied call with the reason that the caller got', () => {
    const { body, headers } = answers['denied']!
    expect(logged('capability_access_denied')[0]).toMatchObject({
      level: 'warn',
      requester: 'spiffe://crank.local/worker/streaming',
      capability: 'convert:document_to_pdf',
      reason: body.reason as string,
      trace_id: TRACE_ID,
      decision_id: headers['x-decision-id'],
    })
    expect(body.reason).toContain('not authorized')
  })
})

test('the calls were what they were meant to be', () => {
  const statuses = Object.entries(answers).map(([name, { status }]) => [name, status])
  expect(Object.fromEntries(statuses)).toEqual({
    allowed: 200,
    denied: 403,
    unserved: 503,
    malformed: 400,
    invalid: 400,
    'unknown route': 404,
    raw: 403,
  })
  expect(worker.seen.at(-1)!.body).toContain(`${CANARY}-payload`)
})

describe('what a caller sent stands neither in', () => {
  const places: Record<string, () => Promise<string>> = {
    'the log': () => Promise.resolve(JSON.stringify(controller.log)),
    'the audit file': () => readFile(`${parties.dir}/audit.jsonl`, 'utf8'),
    'the metrics': async () => (await fetch(`${controller.adminOrigin}/metrics`)).text(),
    'error answers': () =>
      Promise.resolve(
        Object.values(answers)
          .map(({ text, headers }) => text + JSON.stringify(headers))
          .join('\n'),
      ),
  }
  for (const [place, read] of Object.entries(places)) {
    test(`${place}, nor does the private key`, async () => {
      const text = await read()
      expect(text.length).toBeGreaterThan(100)
      expect(text).not.toContain(CANARY)
      expect(text).not.toContain('PRIVATE KEY')
      const key = await readFile((await parties.filesOf('controller')).keyFile, 'utf8')
      const [, secret = ''] = key.split('\n')
      expect(secret).toMatch(/^[A-Za-z0-9+/=]{40,}$/)
      expect(text).not.toContain(secret)
    })
  }
})
