import { spawnSync } from 'node:child_process'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { afterEach, describe, expect, test } from 'vitest'
import { formatTraceparent, parseTraceparent } from '../../../src/core/trace-context.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { createTracing, onwardTrace, startSpan, traceContextOf } from '../../../src/platform/tracing/tracing.ts'
import type { Tracing } from '../../../src/platform/tracing/tracing-port.ts'
import { startOtlpReceiver, type OtlpReceiver, type OtlpReceiverOptions } from '../../../scripts/lab/otlp-receiver.ts'

const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true }

const open: { receivers: OtlpReceiver[]; tracings: Tracing[] } = { receivers: [], tracings: [] }

afterEach(async () => {
  await Promise.all(open.tracings.splice(0).map((tracing) => tracing.shutdown()))
  await Promise.all(open.receivers.splice(0).map((receiver) => receiver.close()))
})

async function receive(options?: OtlpReceiverOptions): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver(options)
  open.receivers.push(receiver)
  return receiver
}

// Not a timing test: on a loaded machine the last spans may take longer than the bound of 3 s on the way out.
const PATIENT = { shutdownMs: 60_000 }

async function tracingWith(
  env: NodeJS.ProcessEnv,
  service = 'crank-controller',
  bound: { shutdownMs?: number } = PATIENT,
) {
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
  const log = createLogger({ level: 'debug', service, destination: { write } })
  let lost = 0
  const onLost = (count: number): void => void (lost += count)
  const tracing = await createTracing({ service, version: '1.2.3', env, log, onLost, ...bound })
  open.tracings.push(tracing)
  return { ...tracing, tracing, lines, lost: () => lost }
}

describe('without an endpoint', () => {
  test('every span has valid ids of its own and nothing is exported', async () => {
    const { tracer, exporting, endpoint } = await tracingWith({})
    expect({ exporting, endpoint }).toEqual({ exporting: false, endpoint: undefined })
    const root = startSpan(tracer, 'POST /route', SpanKind.SERVER, undefined, { a: 1 })
    const header = formatTraceparent(traceContextOf(root))
    expect(parseTraceparent(header)).toEqual(traceContextOf(root))
    expect(root.isRecording()).toBe(false)
    const other = traceContextOf(startSpan(tracer, 'POST /route', SpanKind.SERVER, undefined))
    expect(other.traceId).not.toBe(traceContextOf(root).traceId)
  })

  test("a caller's trace has spans of its own for the log, and goes on to the next hop as it came", async () => {
    const { tracer } = await tracingWith({})
    for (const flags of [{ sampled: true }, { sampled: false }, { sampled: true, random: true } as const]) {
      const caller = { ...CALLER, ...flags }
      const server = startSpan(tracer, 'POST /route', SpanKind.SERVER, caller)
      const child = startSpan(tracer, 'policy.evaluate', SpanKind.INTERNAL, server)
      expect(traceContextOf(child)).toMatchObject({ traceId: CALLER.traceId, ...flags })
      expect(new Set([CALLER.spanId, traceContextOf(server).spanId, traceContextOf(child).spanId]).size).toBe(3)
      expect(onwardTrace(child)).toEqual(caller)
    }
  })

  test('a trace that begins here goes on to nobody: the next hop begins one that has a root', async () => {
    const { tracer } = await tracingWith({})
    const root = startSpan(tracer, 'POST /route', SpanKind.SERVER, undefined)
    expect(onwardTrace(startSpan(tracer, 'POST /execute', SpanKind.CLIENT, root))).toBeUndefined()
  })

  test('an active span is the parent across await, and its ids stand in the log', async () => {
    const { tracer } = await tracingWith({})
    const lines: string[] = []
    const log = createLogger({ level: 'info', service: 'x', destination: { write: (line) => void lines.push(line) } })
    const inner = await tracer.startActiveSpan('outer', async (outer) => {
      await Promise.resolve()
      log.info('inside')
      expect(trace.getActiveSpan()).toBe(outer)
      return tracer.startSpan('inner')
    })
    log.info('outside')
    const { traceId } = traceContextOf(inner)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ trace_id: traceId, msg: 'inside' })
    expect(JSON.parse(lines[1] ?? '')).not.toHaveProperty('trace_id')
    expect(trace.getSpan(context.active())).toBeUndefined()
  })

  test.each([{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }, { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }])(
    'nothing is exported with %o',
    async (off) => {
      const { exporting } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', ...off })
      expect(exporting).toBe(false)
    },
  )

  test('neither the SDK nor gRPC is loaded', () => {
    const script = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { createTracing } = await import('./src/platform/tracing/tracing.ts')
      await createTracing({ service: 's', version: '1', env: {}, log: undefined })
      console.log(JSON.stringify(loaded.filter((url) => /sdk-|grpc|@fastify/.test(url))), loaded.length > 5)`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(child.stdout.trim()).toBe('[] true')
  })
})

describe('with an endpoint', () => {
  test('spans arrive as one tree, with the resource and the attributes', async () => {
    const receiver = await receive()
    const { tracer, exporting, tracing, provider } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url })
    expect(exporting).toBe(true)
    expect(provider).toBeDefined()
    const server = startSpan(tracer, 'POST /route', SpanKind.SERVER, CALLER, {
      'crank.capability': 'invoke:hello_world',
    })
    const policy = startSpan(tracer, 'policy.evaluate', SpanKind.INTERNAL, server)
    policy.setAttributes({ 'policy.decision': 'allow', cached: false, tries: 3, reasons: ['a', 'b'] })
    policy.end()
    server.end()
    await tracing.shutdown()
    const spans = receiver.spans()
    expect(spans.find(({ name }) => name === 'POST /route')).toMatchObject({
      service: 'crank-controller',
      resource: { 'service.version': '1.2.3' },
      traceId: CALLER.traceId,
      parentSpanId: CALLER.spanId,
      kind: 'SERVER',
      attributes: { 'crank.capability': 'invoke:hello_world' },
      status: { code: 'UNSET' },
    })
    expect(spans.find(({ name }) => name === 'policy.evaluate')).toMatchObject({
      parentSpanId: traceContextOf(server).spanId,
      attributes: { 'policy.decision': 'allow', cached: false, tries: 3, reasons: ['a', 'b'] },
    })
  })

  test('the flag of a random trace id goes on with every span, sampled or not', async () => {
    const { tracer } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
    for (const sampled of [true, false]) {
      const server = startSpan(tracer, 'POST /route', SpanKind.SERVER, { ...CALLER, sampled, random: true })
      const child = startSpan(tracer, 'POST /execute', SpanKind.CLIENT, server)
      const { spanId } = traceContextOf(child)
      expect(onwardTrace(child)).toEqual({ traceId: CALLER.traceId, spanId, sampled, random: true })
    }
  })

  test('two services in one process keep their own names and collectors', async () => {
    const [one, two] = [await receive(), await receive()]
    const a = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: one.url }, 'crank-controller')
    const b = await tracingWith({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: two.url }, 'crank-worker-streaming')
    startSpan(a.tracer, 'a', SpanKind.SERVER, undefined).end()
    startSpan(b.tracer, 'b', SpanKind.SERVER, undefined).end()
    await Promise.all([a.tracing.shutdown(), b.tracing.shutdown()])
    expect(one.spans().map(({ service, name }) => ({ service, name }))).toEqual([
      { service: 'crank-controller', name: 'a' },
    ])
    expect(two.spans().map(({ service, name }) => ({ service, name }))).toEqual([
      { service: 'crank-worker-streaming', name: 'b' },
    ])
  })

  test('name, resource, headers, sampler and batch size are those of the OTEL_* variables', async () => {
    const receiver = await receive()
    const { tracer, tracing } = await tracingWith({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=blue',
      OTEL_SERVICE_NAME: 'other-name',
      OTEL_RESOURCE_ATTRIBUTES: 'service.version=9,deployment.environment.name=test',
      OTEL_TRACES_SAMPLER: 'parentbased_always_off',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2',
    })
    const unsampled = startSpan(tracer, 'root', SpanKind.SERVER, undefined)
    expect(traceContextOf(unsampled).sampled).toBe(false)
    unsampled.end()
    for (const name of ['a', 'b', 'c']) startSpan(tracer, name, SpanKind.SERVER, CALLER).end()
    await tracing.shutdown()
    const spans = receiver.spans()
    expect(spans.map(({ name }) => name).sort()).toEqual(['a', 'b', 'c'])
    expect(spans[0]).toMatchObject({
      service: 'other-name',
      resource: { 'service.version': '9', 'deployment.environment.name': 'test' },
    })
    expect(receiver.metadata()).toMatchObject({
      'x-tenant': 'blue',
      'user-agent': expect.stringMatching(/^crank-controller\/1\.2\.3 OTel-OTLP-Exporter-JavaScript\//) as string,
    })
    expect(receiver.batches()).toBe(2)
  })

  test('15,000 spans at once lose none, and all leave at shutdown', async () => {
    const receiver = await receive()
    const { tracer, tracing } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url })
    for (let made = 0; made < 15_000; made += 1) startSpan(tracer, 'a', SpanKind.SERVER, undefined).end()
    await tracing.shutdown()
    expect(receiver.spans()).toHaveLength(15_000)
  })

  test('no batch is larger than 1024, whatever is configured', async () => {
    const receiver = await receive()
    const { tracer, tracing } = await tracingWith({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2000',
    })
    for (let made = 0; made < 2200; made += 1) startSpan(tracer, 'a', SpanKind.SERVER, undefined).end()
    await tracing.shutdown()
    expect(receiver.spans()).toHaveLength(2200)
    expect(receiver.batches()).toBeGreaterThanOrEqual(3)
  })

  test('the variables of the process are as they were afterwards', async () => {
    const before = { ...process.env }
    await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SERVICE_NAME: 'x' })
    expect(process.env).toEqual(before)
  })
})

describe('trouble with the collector', () => {
  const fast = { OTEL_BSP_SCHEDULE_DELAY: '20', OTEL_EXPORTER_OTLP_TIMEOUT: '100', OTEL_BSP_MAX_QUEUE_SIZE: '512' }

  test('one that fails is one warning, however often a batch is tried, and shutdown says what is lost', async () => {
    const receiver = await receive({ mode: 'fail' })
    // It answers at once, but connecting takes its time on a loaded machine: a batch must get there to be refused.
    const patient = { ...fast, OTEL_EXPORTER_OTLP_TIMEOUT: '10000' }
    const { tracer, tracing, lines } = await tracingWith({ ...patient, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url })
    for (let round = 1; round <= 3; round += 1) {
      startSpan(tracer, 'lost', SpanKind.SERVER, undefined).end()
      await receiver.waitFor(() => receiver.batches() >= round)
    }
    await expect.poll(() => lines, { timeout: 10_000 }).toHaveLength(1)
    await tracing.shutdown()
    expect(lines).toMatchObject([
      { level: 'warn', event: 'span_export_failed', reason: '14 UNAVAILABLE: told to fail' },
      { level: 'warn', event: 'span_export_incomplete', reason: '14 UNAVAILABLE: told to fail', lost: 3 },
    ])
  })

  test('one that is not there costs nothing but its spans', async () => {
    const { tracer, tracing, lines, lost } = await tracingWith({
      ...fast,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    })
    for (let made = 0; made < 2000; made += 1) startSpan(tracer, 'lost', SpanKind.SERVER, undefined).end()
    await expect(tracing.shutdown()).resolves.toBeUndefined()
    expect(lines).toMatchObject([
      { level: 'warn', event: 'span_export_failed', reason: 'the queue of 512 spans is full' },
      { level: 'warn', event: 'span_export_incomplete', lost: 512 },
    ])
    expect(lost()).toBe(2000)
  })

  test('one that never answers holds shutdown up for no more than its bound', async () => {
    const receiver = await receive({ mode: 'hang' })
    const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
    const { tracer, tracing, lines } = await tracingWith(settings, 'crank-controller', {})
    startSpan(tracer, 'lost', SpanKind.SERVER, undefined).end()
    // The export's own timeout is 10 s: what ends the wait is our bound of 3 s.
    await tracing.shutdown()
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        event: 'span_export_incomplete',
        reason: 'no answer within 3000 ms',
        lost: 1,
      }),
    )
  })

  test('one that is slow gets its spans and delays nobody', async () => {
    const receiver = await receive({ mode: 'slow', delayMs: 300 })
    const { tracer, tracing } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url })
    startSpan(tracer, 'late', SpanKind.SERVER, undefined).end()
    await tracing.shutdown()
    expect(receiver.spans().map(({ name }) => name)).toEqual(['late'])
  })

  for (const [setting, reason] of [
    ['OTEL_EXPORTER_OTLP_PROTOCOL=grpcs', 'unsupported protocol; set grpc, http/protobuf or http/json'],
    ['OTEL_TRACES_EXPORTER=console', 'unsupported exporter; set otlp or none'],
  ] as const) {
    test(`${setting} is one error that says what would work, and nothing is exported`, async () => {
      const receiver = await receive()
      const [name = '', value] = setting.split('=')
      const { exporting, lines } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, [name]: value })
      expect(exporting).toBe(false)
      expect(lines).toMatchObject([{ event: 'tracing_unavailable', err: { message: `${setting}: ${reason}` } }])
    })
  }

  test('an address that is none leaves the process without export, with ids, and with one error in the log', async () => {
    const { tracer, exporting, lines } = await tracingWith({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://[bad' })
    expect(exporting).toBe(false)
    expect(lines).toMatchObject([{ level: 'error', event: 'tracing_unavailable' }])
    expect(traceContextOf(startSpan(tracer, 'a', SpanKind.SERVER, CALLER)).traceId).toBe(CALLER.traceId)
  })
})
