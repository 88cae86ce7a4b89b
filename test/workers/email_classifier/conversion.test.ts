// How a mail as it was sent comes to be text: by convert:email_to_text of another worker, through the controller.
import Type from 'typebox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defineCapability, defineWorker } from '../../../src/worker/define.ts'
import { InvokeError } from '../../../src/worker/invoke.ts'
import type { RunningWorker } from '../../../src/worker/run.ts'
import { createEmailClassifier } from '../../../src/workers/email_classifier/worker.ts'
import { startMesh, type Mesh } from '../../fixtures/mesh.ts'
import { startRealWorker } from '../../fixtures/real-worker.ts'
import { call, type TestWorker } from '../../../scripts/lab/worker-calls.ts'
import { createClassifier, type Invoked } from './fake-invoke.ts'

const MESSAGE = [
  'From: Ground Crew <no-reply@airline.example>',
  'To: ada@example.org',
  'Subject: =?utf-8?Q?Your_flight_to_Malm=C3=B6?=',
  'List-Unsubscribe: <mailto:off@airline.example>',
  '',
  'Check-in is open. Choose your seat and download your boarding pass.',
].join('\r\n')
const CONVERTED = {
  headers: { from: 'Ground Crew <no-reply@airline.example>', subject: 'Your flight to Malmö' },
  body: 'Check-in is open. Choose your seat and download your boarding pass.',
  attachments: [],
}
const ASKED = { email_content: MESSAGE, classification_types: ['category'] }

let worker: TestWorker
let invoked: Invoked[]
let answer: () => unknown
beforeAll(async () => {
  const made = await createClassifier(() => answer())
  worker = made.worker
  invoked = made.invoked
})
beforeEach(() => {
  invoked.length = 0
  answer = () => CONVERTED
})

describe('a message', () => {
  test('goes to convert:email_to_text as it is, and what comes back is classified', async () => {
    const given = await call(worker, 'classify:email_category', ASKED)
    expect(invoked).toStrictEqual([
      { capability: 'convert:email_to_text', payload: { raw_email: MESSAGE, encoding: 'text' } },
    ])
    expect(given.json()).toMatchObject({
      classifications: [{ value: 'travel' }],
      analysis: { source: 'message', characters: CONVERTED.body.length },
    })
  })

  test('in base64 stays in base64', async () => {
    const email_content = Buffer.from(MESSAGE).toString('base64')
    await call(worker, 'classify:email_category', { ...ASKED, email_content, content_format: 'message_base64' })
    expect(invoked).toMatchObject([{ payload: { raw_email: email_content, encoding: 'base64' } }])
  })

  test('is judged by the subject that was given, if one was', async () => {
    answer = () => ({ headers: { subject: 'URGENT' }, body: 'See you.' })
    const asked = { ...ASKED, classification_types: ['priority'] }
    const its = await call(worker, 'classify:email_category', asked)
    expect(its.json()).toMatchObject({ classifications: [{ value: 'high' }] })
    const other = await call(worker, 'classify:email_category', { ...asked, subject: 'Lunch' })
    expect(other.json()).toMatchObject({ classifications: [{ value: 'normal' }] })
  })

  test('is told from text by its head, unless the caller says what it is', async () => {
    const text = { classification_types: ['language'], email_content: 'Subject matters: we discuss them.\n\nBye' }
    await call(worker, 'classify:email_category', text)
    await call(worker, 'classify:email_category', { ...ASKED, content_format: 'text' })
    expect(invoked).toHaveLength(0)
    await call(worker, 'classify:email_category', { ...text, content_format: 'message' })
    expect(invoked).toHaveLength(1)
  })

  test('beyond the limit of bytes is not sent anywhere', async () => {
    const given = await call(worker, 'classify:email_category', {
      ...ASKED,
      email_content: `${MESSAGE}${' '.repeat(10 * 1024 * 1024)}`,
    })
    expect(given.json()).toMatchObject({ error: 'LIMIT_EXCEEDED' })
    expect(invoked).toHaveLength(0)
  })
})

describe('a conversion that fails', () => {
  const failed = (code: string, status: number) =>
    new InvokeError('convert:email_to_text', code, 'the reason', { status, decisionId: undefined })
  const unavailable: Record<string, Error> = {
    'is refused by policy': failed('capability_access_denied', 403),
    'finds no live worker': failed('no_worker_available', 503),
    'is unknown': failed('capability_unknown', 404),
    'takes too long': failed('worker_timeout', 504),
    'breaks in the converter': failed('PARSING_FAILED', 502),
    'gets no answer': new Error('connect ECONNREFUSED'),
  }
  for (const [what, error] of Object.entries(unavailable)) {
    test(`makes the classifier unavailable when it ${what}`, async () => {
      answer = () => Promise.reject(error)
      const given = await call(worker, 'classify:email_category', ASKED)
      expect(given.status).toBe(503)
      expect(given.json()).toMatchObject({ error: 'CLASSIFIER_UNAVAILABLE', retryable: true })
      expect(given.text).toContain('convert:email_to_text')
    })
  }

  for (const [code, status, ours, ourStatus] of [
    ['INVALID_EMAIL', 422, 'INVALID_INPUT', 400],
    ['INVALID_INPUT', 400, 'INVALID_INPUT', 400],
    ['LIMIT_EXCEEDED', 413, 'LIMIT_EXCEEDED', 413],
    ['payload_too_large', 413, 'LIMIT_EXCEEDED', 413],
  ] as const) {
    test(`is the fault of the mail when it ends in ${code}`, async () => {
      answer = () => Promise.reject(failed(code, status))
      const given = await call(worker, 'classify:email_category', ASKED)
      expect(given.status).toBe(ourStatus)
      expect(given.json()).toMatchObject({ error: ours, retryable: false })
    })
  }

  for (const nonsense of [undefined, null, 'text', {}, { body: 'a' }, { headers: { from: 1 }, body: 'a' }]) {
    test(`ends the call when the answer is ${JSON.stringify(nonsense)}`, async () => {
      answer = () => nonsense
      const given = await call(worker, 'classify:spam_detection', { ...ASKED, classification_types: ['spam'] })
      expect(given.status).toBe(500)
      expect(given.json()).toMatchObject({ error: 'CLASSIFICATION_FAILED', retryable: false })
    })
  }

  test('does not matter any more once the caller has left', async () => {
    const left = new AbortController()
    const { promise, reject } = Promise.withResolvers<never>()
    answer = () => {
      setImmediate(() => left.abort())
      return promise
    }
    left.signal.addEventListener('abort', () => reject(new Error('aborted')))
    const given = await call(worker, 'classify:email_category', ASKED, { callerLeft: left.signal })
    expect(given.json()).toMatchObject({ error: 'CALLER_LEFT' })
    await worker.slots.idle()
  })
})

describe('beside a controller', () => {
  const SELF = 'worker/email-classifier'
  let mesh: Mesh
  let classifier: RunningWorker
  beforeAll(async () => {
    mesh = await startMesh()
    classifier = await startRealWorker(mesh, mesh.origin, createEmailClassifier())
  })
  afterAll(async () => {
    await classifier.close()
    await mesh.close()
  })

  function classify(headers: Record<string, string> = {}) {
    return mesh.route(SELF, { verb: 'classify', capability: 'email_category', payload: ASKED }, headers)
  }

  test('is unavailable while no worker converts mails', async () => {
    const given = await classify()
    expect(given.status).toBe(502)
    expect(given.body).toMatchObject({ error: 'worker_failed' })
    expect(given.text).toContain('CLASSIFIER_UNAVAILABLE')
  })

  test('calls the converter under its own name, in the same trace, as the audit log shows', async () => {
    const converter = await startRealWorker(mesh, mesh.origin, fakeConverter())
    try {
      // Nobody here exports spans: the trace is the caller's, or there is none.
      const given = await classify({ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
      expect(given.body).toMatchObject({ classifications: [{ type: 'category', value: 'travel' }] })
      const inner = await mesh.auditedAs(
        ({ event, capability, decision, trace_id }) =>
          event === 'policy_decision' &&
          capability === 'convert:email_to_text' &&
          decision === 'allow' &&
          trace_id === given.headers['x-trace-id'],
      )
      expect(inner['requester_spiffe_id']).toBe(`spiffe://crank.local/${SELF}`)
    } finally {
      await converter.close()
    }
  })
})

function fakeConverter() {
  const emailToText = defineCapability({
    verb: 'convert',
    name: 'email_to_text',
    version: '1.0.0',
    input: Type.Object({ raw_email: Type.String(), encoding: Type.String() }),
    output: Type.Object({ headers: Type.Record(Type.String(), Type.String()), body: Type.String() }),
    handler: ({ input }) => ({
      headers: { subject: /^Subject: (.*)$/m.exec(input.raw_email)?.[1]?.trim() ?? '' },
      body: input.raw_email.slice(input.raw_email.indexOf('\r\n\r\n') + 4),
    }),
  })
  return defineWorker({ id: 'worker-document-conversion', capabilities: [emailToText] })
}
