// A collector that goes away and comes back: said each time, with what it cost, and the spans that waited arrive.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { SpanKind } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { afterEach, expect, test } from 'vitest'
import { createLogger } from '../../../src/platform/logger.ts'
import { createPatientExporter } from '../../../src/platform/tracing/patient-exporter.ts'
import { createTracing, startSpan } from '../../../src/platform/tracing/tracing.ts'
import { startOtlpReceiver } from '../../../scripts/lab/otlp-receiver.ts'

const frees: (() => unknown)[] = []
afterEach(async () => {
  for (const free of frees.splice(0).reverse()) await free()
})

const QUEUE = 8

async function tracingTo(port: number, protocol = 'grpc') {
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
  const log = createLogger({ level: 'info', service: 'crank-controller', destination: { write } })
  const lost: number[] = []
  const tracing = await createTracing({
    service: 'crank-controller',
    version: '1.2.3',
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_BSP_SCHEDULE_DELAY: '10',
      OTEL_BSP_MAX_QUEUE_SIZE: String(QUEUE),
    },
    log,
    onLost: (count) => lost.push(count),
    shutdownMs: 60_000,
  })
  frees.push(() => tracing.shutdown())
  /** Ends spans as a worker's handler does: while a span of its own is the active one. */
  const make = (count: number, name: string): void => {
    tracing.tracer.startActiveSpan('request', () => {
      for (let made = 0; made < count; made += 1) startSpan(tracing.tracer, name, SpanKind.INTERNAL, undefined).end()
    })
  }
  return { tracing, make, lines, lost: () => lost.reduce((sum, count) => sum + count, 0) }
}

/** A port of which nobody listens. */
async function freePort(): Promise<number> {
  const receiver = await startOtlpReceiver()
  await receiver.close()
  return receiver.port
}

async function receiveAt(port: number) {
  const receiver = await startOtlpReceiver({ port })
  frees.push(() => receiver.close())
  return receiver
}

test('each of two outages is a line at its begin and one at its end, with the number of spans that it cost', async () => {
  const port = await freePort()
  const { tracing, make, lines, lost } = await tracingTo(port)
  expect(tracing.isDelivering()).toBe(true)
  for (const [outage, made] of [
    [1, 20],
    [2, 11],
  ] as const) {
    make(made, `outage ${outage}`)
    await expect.poll(() => lines, { timeout: 20_000 }).toHaveLength(2 * outage - 1)
    expect(tracing.isDelivering()).toBe(false)
    const receiver = await receiveAt(port)
    const spans = await receiver.waitFor((all) => all.length === QUEUE, 20_000)
    expect(new Set(spans.map(({ name }) => name))).toEqual(new Set([`outage ${outage}`]))
    await expect.poll(() => lines, { timeout: 20_000 }).toHaveLength(2 * outage)
    expect(tracing.isDelivering()).toBe(true)
    await receiver.close()
  }
  expect(lines).toMatchObject([
    { level: 'warn', event: 'span_export_failed' },
    { level: 'info', event: 'span_export_recovered', lost: 20 - QUEUE, waiting: 0 },
    { level: 'warn', event: 'span_export_failed' },
    { level: 'info', event: 'span_export_recovered', lost: 11 - QUEUE, waiting: 0 },
  ])
  expect(lost()).toBe(31 - 2 * QUEUE)
  // The request in which it was noticed has nothing to do with it.
  for (const line of lines) expect(line).not.toHaveProperty('trace_id')
})

test('an outage that the queue outlasts costs no span, and its reason is said', async () => {
  const port = await freePort()
  const { make, lines, lost } = await tracingTo(port)
  make(QUEUE, 'kept')
  await expect.poll(() => lines, { timeout: 20_000 }).toHaveLength(1)
  expect(lines[0]).toMatchObject({ event: 'span_export_failed', reason: expect.stringMatching(/UNAVAILABLE.*REFUSED/) })
  const receiver = await receiveAt(port)
  await receiver.waitFor((spans) => spans.length === QUEUE, 20_000)
  await expect.poll(() => lines, { timeout: 20_000 }).toHaveLength(2)
  expect(lines[1]).toMatchObject({ event: 'span_export_recovered', lost: 0 })
  expect(lost()).toBe(0)
})

test('a batch that the collector will never take is lost at once, and the next one is sent', async () => {
  const refusing = await startOtlpReceiver({ mode: 'refuse' })
  const { make, lines, lost } = await tracingTo(refusing.port)
  make(3, 'refused')
  await expect.poll(lost, { timeout: 20_000 }).toBe(3)
  expect(lines).toMatchObject([{ event: 'span_export_failed', reason: '3 INVALID_ARGUMENT: told to refuse' }])
  expect(refusing.batches()).toBe(1)
  await refusing.close()
  const receiver = await receiveAt(refusing.port)
  make(2, 'taken')
  await receiver.waitFor((spans) => spans.length === 2, 20_000)
  await expect.poll(() => lines, { timeout: 20_000 }).toHaveLength(2)
  expect(lines[1]).toMatchObject({ event: 'span_export_recovered', lost: 3 })
})

test('over HTTP a busy collector is asked again, and spans that it throws away are counted and said once', async () => {
  const rejected = { partialSuccess: { rejectedSpans: 2, errorMessage: 'too old' } }
  const statuses = [429, 503, 200, 200]
  const batches: number[] = []
  const server = createHttpServer((request, response) => {
    request.resume().once('end', () => {
      batches.push(statuses[batches.length] ?? 200)
      const status = batches.at(-1)!
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify(status === 200 ? rejected : {}))
    })
  })
  const port = await listenOn(server, 0)
  const { make, lines, lost } = await tracingTo(port, 'http/json')
  for (const round of [1, 2]) {
    make(3, 'sent')
    await expect.poll(lost, { timeout: 20_000 }).toBe(2 * round)
  }
  expect(batches).toEqual(statuses)
  const warnings = lines.filter(({ event }) => event === 'tracing_warning')
  expect(warnings).toMatchObject([{ level: 'warn', reason: expect.stringContaining('too old') }])
})

test('each further attempt opens a new connection, whatever gRPC would wait after attempts that failed', async () => {
  const port = await freePort()
  let connections = 0
  const count = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    socket.once('error', () => (connections += 1))
  }
  subscribe('net.client.socket', count)
  frees.push(() => unsubscribe('net.client.socket', count))
  const states: string[] = []
  const health = {
    admit: () => true,
    delivered: () => undefined,
    held: (reason: string) => states.push(reason),
    givenUp: () => undefined,
    thrownAway: () => undefined,
    closing: () => undefined,
    end: () => undefined,
    isFailing: () => false,
  }
  const exporter = createPatientExporter({
    open: () => new OTLPTraceExporter({ url: `http://127.0.0.1:${port}`, timeoutMillis: 60_000 }),
    health,
    holdMs: 600_000,
    pause: (_ms, signal) => delay(5, undefined, { signal }).catch(() => undefined),
    monotonic: () => performance.now(),
  })
  exporter.export([], () => undefined)
  // By gRPC's own waits, of 1, 1.6, 2.6 … 120 s, the sixtieth would come after more than an hour.
  await expect.poll(() => connections, { timeout: 60_000 }).toBeGreaterThanOrEqual(60)
  exporter.hurry()
  exporter.abandon()
  await exporter.shutdown()
  expect(states.length).toBeGreaterThan(0)
})

async function listenOn(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  frees.push(() => server.close())
  return (server.address() as AddressInfo).port
}
