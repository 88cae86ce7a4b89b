// A real Jaeger with observability/jaeger.yaml: it holds the whole tree of a call, keeps it, and depends on no Tempo.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startOtlpReceiver, type Span } from '../../scripts/lab/otlp-receiver.ts'
import { outsideTheirParents, treesOf, type SpanTree } from '../fixtures/span-tree.ts'
import { isHealthy } from '../fixtures/stack/native-server.ts'
import { DECISION, startTracedStack, THROUGH_TWO, type TracedStack } from '../fixtures/stack/traced-stack.ts'
import type { TracedAnswer } from '../fixtures/traced-mesh.ts'
import { readJaegerLinks } from '../observability/grafana-model.ts'

const REQUESTER = 'spiffe://crank.local/worker/streaming'
const DENIED: SpanTree = {
  span: 'test-caller: call CLIENT',
  children: [{ span: 'crank-controller: POST /route SERVER', children: [DECISION] }],
}
const PATIENCE = { timeout: 60_000 }

/** Makes the call and waits until Jaeger holds the whole tree of it, and nothing else. */
async function callFoundBy({ jaeger, callThroughTwo }: TracedStack): Promise<string> {
  const { answer, traceId } = await callThroughTwo()
  expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('Hello, Crank!') })
  await expect.poll(async () => treesOf(await jaeger.trace(traceId)), PATIENCE).toEqual([THROUGH_TWO])
  return traceId
}

/** Calls until Jaeger holds the whole tree of one: OPA's exporter gives up what it cannot deliver while Jaeger is away. */
async function newTracesArriveAt({ jaeger, callThroughTwo }: TracedStack): Promise<void> {
  const traceIds: string[] = []
  const arrived = async (): Promise<unknown[]> => {
    traceIds.push((await callThroughTwo()).traceId)
    return Promise.all(traceIds.map(async (traceId) => treesOf(await jaeger.trace(traceId))))
  }
  await expect.poll(arrived, PATIENCE).toContainEqual([THROUGH_TWO])
}

const sorted = (spans: readonly { spanId: string; parentSpanId?: string | undefined }[]): string[] =>
  spans.map(({ spanId, parentSpanId }) => `${spanId} below ${parentSpanId ?? 'none'}`).sort()

describe('with everything in place', () => {
  let stack: TracedStack
  let call: TracedAnswer
  let denied: TracedAnswer
  let spans: Span[]
  beforeAll(async () => {
    stack = await startTracedStack()
    call = await stack.callThroughTwo()
    denied = await stack.callDenied()
  })
  afterAll(() => stack.close())

  test("a call from worker to worker to worker is one tree, with OPA's own spans below every decision", async () => {
    const { jaeger } = stack
    await expect.poll(async () => treesOf(await jaeger.trace(call.traceId)), PATIENCE).toEqual([THROUGH_TWO])
    spans = await jaeger.trace(call.traceId)
    const ids = new Set(spans.map(({ spanId }) => spanId))
    expect(ids.size).toBe(spans.length)
    expect(spans.filter(({ parentSpanId }) => parentSpanId === undefined)).toMatchObject([{ spanId: call.spanId }])
    expect(spans.filter(({ parentSpanId }) => parentSpanId !== undefined && !ids.has(parentSpanId))).toEqual([])
    expect(spans.filter(({ traceId, status }) => traceId !== call.traceId || status.code === 'ERROR')).toEqual([])
  })

  // The page of this build is a placeholder; Jaeger puts the links into it as into its own.
  test('its pages have the links of observability/jaeger-ui.json', async () => {
    const page = await (await fetch(stack.jaeger.queryUrl)).text()
    const [, configuration] = /JAEGER_CONFIG = (\{.*\});$/m.exec(page) ?? expect.fail(page)
    expect(JSON.parse(configuration ?? '')).toEqual({ linkPatterns: await readJaegerLinks() })
  })

  test('API v3 gives the same tree', async () => {
    expect(sorted(await stack.jaeger.traceV3(call.traceId))).toEqual(sorted(spans))
  })

  test('the trace is found by every service in it, by who called what, by the decision and by its id', async () => {
    const { search } = stack.jaeger
    const decision = call.answer.headers['x-decision-id'] as string
    for (const service of ['crank-controller', 'crank-worker-streaming', 'crank-worker-hello-world', 'opa'])
      expect(await search(service)).toContain(call.traceId)
    for (const tags of [
      { 'crank.requester': REQUESTER },
      { 'crank.requester': REQUESTER, 'crank.capability': 'stream:text_events' },
      { 'policy.decision': 'allow' },
      { 'crank.worker_id': 'worker-hello-world' },
    ])
      expect(await search('crank-controller', tags)).toContain(call.traceId)
    expect(await search('crank-controller', { 'opa.decision_id': decision })).toEqual([call.traceId])
    expect(await search('crank-controller', { 'crank.requester': 'spiffe://crank.local/worker/nobody' })).toEqual([])
  })

  test('a denied call is found as a denial and is not an error', async () => {
    const { jaeger } = stack
    expect(denied.answer.status).toBe(403)
    await expect.poll(async () => treesOf(await jaeger.trace(denied.traceId)), PATIENCE).toEqual([DENIED])
    expect(await jaeger.search('crank-controller', { 'policy.decision': 'deny' })).toEqual([denied.traceId])
    expect(await jaeger.search('crank-controller', { error: 'true' })).toEqual([])
    const ofDenied = await jaeger.trace(denied.traceId)
    expect(ofDenied.filter(({ status }) => status.code === 'ERROR')).toEqual([])
    expect(ofDenied.find(({ name }) => name === 'policy.evaluate')!.attributes).toMatchObject({
      'policy.decision': 'deny',
      'policy.mode': 'enforce',
      'policy.reason': 'capability_not_declared',
      'opa.decision_id': denied.answer.headers['x-decision-id'],
    })
  })

  test('the copy arrives, whole, where Tempo would be', async () => {
    const { tempo } = stack
    const copy = (): Span[] => tempo.spans().filter(({ traceId }) => traceId === call.traceId)
    await expect.poll(() => sorted(copy())).toEqual(sorted(spans))
    expect(treesOf(copy())).toEqual([THROUGH_TWO])
    // OPA reads the wall clock itself, as exactly as it goes; ours is set by its ticks.
    expect(outsideTheirParents(copy(), 200_000n)).toEqual([])
    expect(outsideTheirParents(copy().filter(({ service }) => service !== 'opa'))).toEqual([])
    const decision = spans.find(({ name }) => name === 'policy.evaluate')!
    const copied = copy().find(({ spanId }) => spanId === decision.spanId)!
    expect(decision.attributes).toMatchObject(copied.attributes)
  })

  test('health checks, scrapes and the self-check make no trace: there are these services and operations only', async () => {
    const { jaeger, mesh, opaDiagnosticUrl } = stack
    for (const path of ['/livez', '/readyz', '/health', '/metrics'])
      expect(await mesh.admin(path)).toMatchObject({ status: 200 })
    for (const path of ['/health', '/metrics']) expect(await isHealthy(opaDiagnosticUrl + path)).toBe(true)
    // Each process sends in order: with this trace everything before it has arrived.
    await callFoundBy(stack)
    const services = await jaeger.services()
    const operations = await Promise.all(services.map(async (name) => [name, await jaeger.operations(name)]))
    expect(Object.fromEntries(operations)).toEqual({
      'crank-controller': ['POST /execute', 'POST /register', 'POST /route', 'policy.evaluate', 'worker.select'],
      'crank-worker-hello-world': ['worker_execute'],
      'crank-worker-streaming': ['invoke', 'worker_execute'],
      // OPA makes two spans of a request, one of the server and one of the route in it; one is kept.
      opa: ['POST /v1/data/{path...}'],
      'test-caller': ['call'],
    })
    const traceIds = new Set((await Promise.all(services.map((service) => jaeger.search(service)))).flat())
    const roots = await Promise.all(
      [...traceIds].map(async (id) => treesOf(await jaeger.trace(id)).map(({ span }) => span)),
    )
    const [routed, registered] = [['test-caller: call CLIENT'], ['crank-controller: POST /register SERVER']]
    // Three calls by now, and two workers.
    expect(roots.sort()).toEqual([registered, registered, routed, routed, routed])
  })

  test('forty calls at once are forty whole trees', async () => {
    const { jaeger, callThroughTwo } = stack
    const calls = await Promise.all(Array.from({ length: 40 }, callThroughTwo))
    // Each is a stream whose one event is the answer to the call within.
    expect(calls.filter(({ answer }) => !answer.text.includes('Hello')).map(({ answer }) => answer.text)).toEqual([])
    for (const { traceId } of calls)
      await expect.poll(async () => treesOf(await jaeger.trace(traceId)), PATIENCE).toEqual([THROUGH_TWO])
  })

  test('Jaeger counts what came and what went, and none of it is lost', async () => {
    const counts = async (name: string): Promise<number[]> => {
      const text = await (await fetch(stack.jaeger.metricsUrl)).text()
      return [...text.matchAll(new RegExp(`^${name}\\{.* (\\d+)$`, 'gm'))].map(([, count]) => Number(count))
    }
    // By gRPC, which all of ours use.
    const [accepted = 0, ...others] = await counts('otelcol_receiver_accepted_spans_total')
    expect(others).toEqual([])
    expect(accepted).toBeGreaterThan(40 * spans.length)
    // OPA's second span of each decision, and nothing else, is dropped on the way.
    const [dropped = 0] = await counts('otelcol_processor_filter_spans_filtered\\w*')
    expect(dropped).toBeGreaterThan(0)
    // To its own storage, and to where Tempo would be.
    await expect
      .poll(() => counts('otelcol_exporter_sent_spans_total'))
      .toEqual([accepted - dropped, accepted - dropped])
    expect(await counts('otelcol_exporter_send_failed_spans_total')).toEqual([0, 0])
    expect(await counts('otelcol_receiver_refused_spans_total')).toEqual([0])
    // Alerts ask for these; only the copy for Tempo has a queue.
    expect(await counts('otelcol_exporter_queue_size')).toEqual([0])
    expect(await counts('otelcol_exporter_queue_capacity')).toEqual([50_000])
  })

  test('a span sent by OTLP over HTTP is found too', async () => {
    const { jaeger } = stack
    const [traceId, spanId] = ['5b8efff798038103d269b633813fc60c', 'eee19b7ec3c1b174']
    const span = { traceId, spanId, name: 'by http', kind: 3, startTimeUnixNano: '1', endTimeUnixNano: '2' }
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'elsewhere' } }] }
    const answer = await fetch(`${jaeger.otlpHttpUrl}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }),
    })
    expect(answer.status).toBe(200)
    await expect
      .poll(async () => treesOf(await jaeger.trace(traceId)), PATIENCE)
      .toEqual([{ span: 'elsewhere: by http CLIENT', children: [] }])
  })

  test('after a restart the trace is the same as before', async () => {
    const { jaeger } = stack
    await jaeger.end('SIGTERM')
    expect(await isHealthy(jaeger.statusUrl)).toBe(false)
    await jaeger.start()
    expect(sorted(await jaeger.trace(call.traceId))).toEqual(sorted(spans))
    expect(await jaeger.search('opa')).toContain(call.traceId)
    await newTracesArriveAt(stack)
  })

  test('killed under load: nobody who calls notices, what it had stays, and what follows its return is found', async () => {
    const { jaeger, callThroughTwo, callDenied } = stack
    const calls = Array.from({ length: 8 }, callThroughTwo)
    await jaeger.end('SIGKILL')
    calls.push(...Array.from({ length: 4 }, callThroughTwo))
    expect((await Promise.all(calls)).map(({ answer }) => answer.status)).toEqual(calls.map(() => 200))
    expect((await callDenied()).answer.status).toBe(403)
    await jaeger.start()
    expect(sorted(await jaeger.trace(call.traceId))).toEqual(sorted(spans))
    await newTracesArriveAt(stack)
  })
})

test('where Jaeger is away, controller, workers and OPA start and serve; from its arrival on it gets their traces', async () => {
  const stack = await startTracedStack({ jaeger: 'absent' })
  onTestFinished(stack.close)
  const { answer, traceId } = await stack.callThroughTwo()
  expect(answer.status).toBe(200)
  expect((await stack.callDenied()).answer.status).toBe(403)
  await stack.jaeger.start()
  await newTracesArriveAt(stack)
  // What was called before its arrival has waited for it; only OPA's own exporter has not.
  const ours = async () => (await stack.jaeger.trace(traceId)).filter(({ service }) => service !== 'opa')
  await expect.poll(async () => (await ours()).length, PATIENCE).toBe(12)
  expect(treesOf(await ours())).toMatchObject([{ span: 'test-caller: call CLIENT' }])
})

test('where Tempo is away, Jaeger is healthy and has every trace; Tempo gets its copies when it comes', async () => {
  const stack = await startTracedStack({ tempo: 'absent' })
  onTestFinished(stack.close)
  const traceIds = [await callFoundBy(stack), await callFoundBy(stack)]
  expect(await isHealthy(stack.jaeger.statusUrl)).toBe(true)
  const tempo = await startOtlpReceiver({ port: stack.tempo.port })
  onTestFinished(() => tempo.close())
  for (const traceId of traceIds) {
    const copy = (): Span[] => tempo.spans().filter((span) => span.traceId === traceId)
    await expect.poll(() => treesOf(copy()), PATIENCE).toEqual([THROUGH_TWO])
  }
})

test('where Tempo takes everything and never answers, Jaeger is healthy and has every trace', async () => {
  const stack = await startTracedStack({ tempo: 'hang' })
  onTestFinished(stack.close)
  await callFoundBy(stack)
  await expect.poll(() => stack.tempo.batches()).toBeGreaterThan(0)
  for (let round = 0; round < 10; round++) await callFoundBy(stack)
  expect(await isHealthy(stack.jaeger.statusUrl)).toBe(true)
})
