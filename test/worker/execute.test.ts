import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import Type from 'typebox'
import { describe, expect, test } from 'vitest'
import { capabilityError } from '../../src/worker/call-error.ts'
import { ByteInput, ByteOutput, defineCapability, defineWorker } from '../../src/worker/define.ts'
import type { HandlerContext } from '../../src/worker/handler.ts'
import { call, CALLER, callHeaders, createTestWorker, DECISION_ID, start } from '../../scripts/lab/worker-calls.ts'

type Input = { text: string; times?: number }
const Input = Type.Object(
  { text: Type.String({ minLength: 1 }), times: Type.Optional(Type.Integer({ minimum: 1, maximum: 3 })) },
  { additionalProperties: false },
)
const Output = Type.Object({ text: Type.String() })

type Handle = (context: HandlerContext<Input>) => { text: string } | Promise<{ text: string }>

/** A worker with the capability echo:text, answered by `handler`. */
function echoWorker(handler: Handle, more: object = {}) {
  const errors = {
    TOO_LOUD: { description: 'Too loud.', retryable: false },
    TIRED: { description: 'Tired.', retryable: true },
    TEAPOT: { description: 'Teapot.', retryable: false, status: 418 },
  }
  const echo = { verb: 'echo', name: 'text', version: '1.0.0', input: Input, output: Output, errors, handler, ...more }
  return createTestWorker(defineWorker({ id: 'worker-echo', capabilities: [defineCapability(echo)] }))
}

const echo: Handle = ({ input }) => ({ text: input.text })
const failing =
  (error: unknown): Handle =>
  () => {
    throw error as Error
  }
/** Runs until its signal aborts, then fails with the reason. */
const waiting: Handle = ({ signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

describe('a call', () => {
  test('is answered with what the handler gives', async () => {
    const answer = await call(await echoWorker(echo), 'echo:text', { text: 'hi' })
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json; charset=utf-8' } })
    expect(answer.json()).toStrictEqual({ text: 'hi' })
  })

  test('brings the handler caller, decision, key and a span of the same trace', async () => {
    let seen: HandlerContext<Input> | undefined
    const worker = await echoWorker((context) => {
      seen = context
      context.log.info('inside')
      return { text: 'ok' }
    })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await call(worker, 'echo:text', { text: 'hi' }, { headers: { traceparent, 'idempotency-key': 'k-1' } })
    expect(seen).toMatchObject({ caller: CALLER, decisionId: DECISION_ID, idempotencyKey: 'k-1' })
    expect(seen?.span.spanContext().traceId).toBe('0af7651916cd43dd8448eb211c80319c')
    expect(worker.logged().find(({ msg }) => msg === 'inside')).toMatchObject({
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      decision_id: DECISION_ID,
      capability: 'echo:text',
    })
  })

  const malformed: Record<string, Record<string, string>> = {
    'x-crank-capability is missing': { 'x-crank-capability': '' },
    'x-crank-decision-id is missing': { 'x-crank-decision-id': '' },
    'x-crank-caller is not a SPIFFE ID': { 'x-crank-caller': 'https://crank.local/worker' },
    'x-crank-deadline-ms must be milliseconds': { 'x-crank-deadline-ms': '1e3' },
  }
  for (const [message, headers] of Object.entries(malformed)) {
    test(`is refused when ${message}`, async () => {
      const answer = await call(await echoWorker(echo), 'echo:text', { text: 'hi' }, { headers })
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ error: 'CALL_MALFORMED', message: expect.stringContaining(message) })
    })
  }

  test('of a capability that the worker does not have is answered 404', async () => {
    const answer = await call(await echoWorker(echo), 'echo:sound', {})
    expect(answer.status).toBe(404)
    expect(answer.json()).toMatchObject({ error: 'CAPABILITY_UNKNOWN', retryable: false })
  })
})

describe('input', () => {
  const wrong: Record<string, [unknown, string]> = {
    'lacks a member': [{}, "input must have required property 'text'"],
    'has an unknown member': [{ text: 'a', loud: true }, 'input must NOT have additional properties ("loud")'],
    'has a number as text': [{ text: 'a', times: '2' }, 'input/times must be integer'],
    'is out of range': [{ text: 'a', times: 4 }, 'input/times must be <= 3'],
    'is null lacks a member': [null, "input must have required property 'text'"],
    'is not an object': ['a', 'input must be object'],
  }
  for (const [what, [payload, message]] of Object.entries(wrong)) {
    test(`that ${what} is refused, saying so`, async () => {
      const answer = await call(await echoWorker(echo), 'echo:text', payload)
      expect(answer.status).toBe(400)
      expect(answer.json()).toStrictEqual({ error: 'INVALID_INPUT', message, retryable: false })
    })
  }

  const bodies: Record<string, [Buffer, Record<string, string>, number, string]> = {
    'that is not JSON': [Buffer.from('{"text":'), {}, 400, 'INVALID_INPUT'],
    'in broken UTF-8': [Buffer.from([0x22, 0xff, 0x22]), {}, 400, 'INVALID_INPUT'],
    'of another content type': [Buffer.from('{}'), { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  }
  for (const [what, [body, headers, status, error]] of Object.entries(bodies)) {
    test(`${what} is refused with ${status}`, async () => {
      const worker = await echoWorker(echo)
      const callerLeft = new AbortController().signal
      const answer = await worker.execute({
        headers: callHeaders('echo:text', headers),
        body: Readable.from([body]),
        callerLeft,
      })
      expect(answer.status).toBe(status)
      expect(JSON.parse(answer.body as string)).toMatchObject({ error })
    })
  }

  test('longer than the limit is refused with 413', async () => {
    const worker = await createTestWorker(
      defineWorker({
        id: 'worker-echo',
        capabilities: [
          defineCapability({
            verb: 'echo',
            name: 'text',
            version: '1.0.0',
            input: Input,
            output: Output,
            handler: echo,
          }),
        ],
      }),
      { maxInputBytes: 10 },
    )
    const answer = await call(worker, 'echo:text', { text: 'longer than ten' })
    expect(answer).toMatchObject({ status: 413 })
  })

  test('is refused with the code that the capability names for it', async () => {
    const worker = await echoWorker(echo, { invalidInput: 'TEAPOT' })
    const answer = await call(worker, 'echo:text', {})
    expect(answer.status).toBe(418)
    expect(answer.json()).toMatchObject({ error: 'TEAPOT', message: "input must have required property 'text'" })
  })
})

describe('a handler that fails', () => {
  const declared: Record<string, [number, boolean]> = {
    TOO_LOUD: [422, false],
    TIRED: [503, true],
    TEAPOT: [418, false],
  }
  for (const [code, [status, retryable]] of Object.entries(declared)) {
    test(`with the declared code ${code} answers ${status}`, async () => {
      const answer = await call(await echoWorker(failing(capabilityError(code, 'because'))), 'echo:text', { text: 'a' })
      expect(answer.status).toBe(status)
      expect(answer.json()).toStrictEqual({ error: code, message: 'because', retryable })
    })
  }

  const undeclared: Record<string, unknown> = {
    'a code that nobody declared': capabilityError('SURPRISE', 'secret detail'),
    'any other error': new Error('secret detail'),
    'something that is not an error': 'secret detail',
  }
  for (const [what, error] of Object.entries(undeclared)) {
    test(`with ${what} answers 500 without a detail, and logs it`, async () => {
      const worker = await echoWorker(failing(error))
      const answer = await call(worker, 'echo:text', { text: 'a' })
      expect(answer.status).toBe(500)
      expect(answer.json()).toStrictEqual({ error: 'INTERNAL', message: 'the worker failed', retryable: false })
      expect(JSON.stringify(worker.logged())).toContain('call_failed')
    })
  }

  test('by an answer that does not fit its schema answers 500 OUTPUT_INVALID', async () => {
    const worker = await echoWorker((() => ({ text: 7 })) as unknown as Handle)
    const answer = await call(worker, 'echo:text', { text: 'a' })
    expect(answer.status).toBe(500)
    expect(answer.json()).toMatchObject({ error: 'OUTPUT_INVALID' })
    expect(JSON.stringify(worker.logged())).toContain('output/text must be string')
  })
})

describe('the signal of a call', () => {
  test('aborts at the deadline, and the call is answered 504', async () => {
    const worker = await echoWorker(waiting)
    const answer = await call(worker, 'echo:text', { text: 'a' }, { headers: { 'x-crank-deadline-ms': '5' } })
    expect(answer.status).toBe(504)
    expect(answer.json()).toMatchObject({ error: 'DEADLINE_EXCEEDED' })
    expect(worker.slots.inFlight()).toBe(0)
  })

  test("has its deadline counted from the end of the body: the time of an upload is the caller's", async () => {
    const worker = await echoWorker(waiting)
    // As a request of Node's: `complete` once all of it has arrived.
    const body = Object.assign(new PassThrough(), { complete: false })
    const headers = callHeaders('echo:text', { 'x-crank-deadline-ms': '20' })
    const answer = worker.execute({ headers, body, callerLeft: new AbortController().signal })
    const late = setTimeout(100, 'still uploading')
    expect(await Promise.race([answer, late])).toBe('still uploading')
    body.complete = true
    body.end('{"text":"a"}')
    expect(await answer).toMatchObject({ status: 504 })
  })

  test('aborts when the caller leaves', async () => {
    const left = new AbortController()
    const worker = await echoWorker((context) => {
      left.abort()
      return waiting(context)
    })
    const answer = await call(worker, 'echo:text', { text: 'a' }, { callerLeft: left.signal })
    expect(answer.json()).toMatchObject({ error: 'CALLER_LEFT' })
  })

  test('aborts when the worker stops', async () => {
    const worker = await echoWorker(waiting)
    const answer = call(worker, 'echo:text', { text: 'a' })
    worker.stop()
    expect((await answer).json()).toMatchObject({ error: 'SHUTTING_DOWN', retryable: true })
  })

  test('need not be heeded: the caller is answered, the slot stays taken until the handler is done', async () => {
    const gate = Promise.withResolvers<undefined>()
    const worker = await echoWorker(async () => {
      await gate.promise
      return { text: 'late' }
    })
    const answer = await call(worker, 'echo:text', { text: 'a' }, { headers: { 'x-crank-deadline-ms': '5' } })
    expect(answer.status).toBe(504)
    expect(worker.slots.inFlight()).toBe(1)
    gate.resolve(undefined)
    await worker.slots.idle()
    expect(worker.slots.inFlight()).toBe(0)
  })
})

test('beyond max_concurrency a call is answered 503 BUSY, and later ones go through again', async () => {
  const gate = Promise.withResolvers<undefined>()
  const handler: Handle = async ({ input }) => {
    await gate.promise
    return { text: input.text }
  }
  const worker = await echoWorker(handler, { max_concurrency: 2 })
  const running = [start(worker, 'echo:text', { text: 'a' }), start(worker, 'echo:text', { text: 'b' })]
  const busy = await call(worker, 'echo:text', { text: 'c' })
  expect(busy).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
  expect(busy.json()).toMatchObject({ error: 'BUSY', retryable: true })
  gate.resolve(undefined)
  expect((await Promise.all(running)).map(({ status }) => status)).toStrictEqual([200, 200])
  expect(await call(worker, 'echo:text', { text: 'd' })).toMatchObject({ status: 200 })
})

test('bytes go in and out as they are, of any content type', async () => {
  const shout = defineCapability({
    verb: 'shout',
    name: 'bytes',
    version: '1.0.0',
    input: ByteInput,
    output: ByteOutput,
    handler: async ({ input }) => ({
      status: 201,
      contentType: `${input.contentType ?? 'none'}; loud`,
      body: Readable.from([Buffer.from((await text(input.stream)).toUpperCase())]),
    }),
  })
  const worker = await createTestWorker(defineWorker({ id: 'worker-shout', capabilities: [shout] }))
  const answer = await worker.execute({
    headers: callHeaders('shout:bytes', { 'content-type': 'text/plain' }),
    body: Readable.from([Buffer.from('quiet')]),
    callerLeft: new AbortController().signal,
  })
  expect(answer).toMatchObject({ status: 201, headers: { 'content-type': 'text/plain; loud' } })
  expect(await text(answer.body as Readable)).toBe('QUIET')
  await worker.slots.idle()
})
