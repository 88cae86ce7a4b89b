// The CLIENT span of a call that a handler makes: what it says of each way to end.
import { Readable } from 'node:stream'
import { SpanStatusCode, type Attributes, type Span, type SpanStatus, type Tracer } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import type { Tracing } from '../../src/platform/tracing/tracing-port.ts'
import type { ControllerClient, RouteAnswer } from '../../src/worker/controller-client.ts'
import { createInvoke } from '../../src/worker/invoke.ts'

const DECISION_ID = '01890a5d-ac96-774b-bcce-b302099a8057'

const bodyOf = (value: object): Readable => Readable.from([Buffer.from(JSON.stringify(value))])

/** Invokes with a controller that answers so, and tells what the span recorded. */
async function spanOf(answer: Partial<RouteAnswer> | Error) {
  const attributes: Attributes = {}
  let status: SpanStatus | undefined
  let ended = 0
  const span = {
    setAttribute: (name: string, value: string) => (attributes[name] = value),
    setAttributes: (more: Attributes) => Object.assign(attributes, more),
    setStatus: (next: SpanStatus) => (status = next),
    spanContext: () => ({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }),
    end: () => (ended += 1),
  } as unknown as Span
  const tracer = { startSpan: () => span } as unknown as Tracer
  const route: ControllerClient['route'] = () =>
    answer instanceof Error
      ? Promise.reject(answer)
      : Promise.resolve({ decisionId: DECISION_ID, body: bodyOf({}), ...answer } as RouteAnswer)
  const client = { route } as unknown as ControllerClient
  const call = { span, signal: new AbortController().signal, tracestate: undefined, chain: undefined }
  await createInvoke(client, { tracer } as Tracing, call)('invoke:hello_world').catch(() => undefined)
  expect(ended).toBe(1)
  return { attributes, isError: status?.code === SpanStatusCode.ERROR }
}

test('an answer is recorded with its status, its decision and the worker that gave it', async () => {
  expect(await spanOf({ status: 200, workerId: 'worker-hello-world' })).toEqual({
    attributes: {
      'http.response.status_code': 200,
      'opa.decision_id': DECISION_ID,
      'crank.worker_id': 'worker-hello-world',
    },
    isError: false,
  })
})

const problem = (error: string): Readable => bodyOf({ error, reason: 'no' })

test('a denial is recorded with its code and is not an error', async () => {
  expect(await spanOf({ status: 403, body: problem('capability_access_denied') })).toEqual({
    attributes: {
      'http.response.status_code': 403,
      'opa.decision_id': DECISION_ID,
      'error.type': 'capability_access_denied',
    },
    isError: false,
  })
})

test('trouble is an error', async () => {
  const { attributes, isError } = await spanOf({ status: 503, body: problem('policy_engine_unavailable') })
  expect({ type: attributes['error.type'], isError }).toEqual({ type: 'policy_engine_unavailable', isError: true })
})

test('no answer is an error', async () => {
  expect(await spanOf(new Error('connect ECONNREFUSED'))).toEqual({ attributes: {}, isError: true })
})

test('the options of a call are members of the request; absent ones are not', async () => {
  const sent: unknown[] = []
  const span = {
    setAttributes: () => undefined,
    spanContext: () => ({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }),
    end: () => undefined,
  } as unknown as Span
  const route: ControllerClient['route'] = (body) => {
    sent.push(body)
    return Promise.resolve({ status: 200, decisionId: DECISION_ID, body: bodyOf({}) } as unknown as RouteAnswer)
  }
  const tracing = { tracer: { startSpan: () => span } } as unknown as Tracing
  const call = { span, signal: new AbortController().signal, tracestate: undefined, chain: undefined }
  const invoke = createInvoke({ route } as unknown as ControllerClient, tracing, call)
  const wish = { version: '^1.2', prefer: { zone: 'eu' }, require: { gpu: 'yes' } }
  await invoke('invoke:hello_world', 1, { ...wish, priority: 'high', timeoutMs: 5 })
  await invoke('invoke:hello_world')
  const named = { verb: 'invoke', capability: 'hello_world' }
  expect(sent).toStrictEqual([{ ...named, payload: 1, ...wish, priority: 'high', timeout_ms: 5 }, named])
})
