// What a command leaves in the traces: one CLIENT span of `crank-cli` above the controller's, where spans are exported.
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { createHelloWorld } from '../../src/workers/hello_world.ts'
import { createStreaming } from '../../src/workers/streaming.ts'
import { startOtlpReceiver, type Span } from '../../scripts/lab/otlp-receiver.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { outsideTheirParents, treesOf } from '../fixtures/span-tree.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'
import { until } from '../fixtures/until.ts'
import { crank, startCrank } from './crank.ts'

const HELLO = ['invoke', 'invoke', 'hello_world', '--data', '{"message":"Ada"}']
const TICKS = ['invoke', 'stream', 'sse_events', '--data', '{"interval_ms":60000,"count":2}']

let traced: TracedMesh
let workers: RunningWorker[]
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  traced = await startTracedMesh()
  const { mesh } = traced
  workers = await Promise.all(
    [createHelloWorld(), createStreaming()].map((definition) =>
      startRealWorker(mesh, mesh.origin, definition, { env: traced.env }),
    ),
  )
  env = { CONTROLLER_URL: mesh.origin, ...(await mesh.tlsEnv('worker/streaming')) }
})
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()))
  await traced.close()
})

/** The trace id that a command printed. */
const traceIn = (stderr: string): string => /\btrace ([0-9a-f]{32})\b/.exec(stderr)?.[1] ?? 'none'
const ofCli = (spans: Span[]): Span[] => spans.filter(({ service }) => service === 'crank-cli')
const ids = { 'server.address': '127.0.0.1', 'crank.requester': 'spiffe://crank.local/worker/streaming' }

describe('with an OTLP endpoint', () => {
  test('invoke is the root of the tree that it starts, found by the trace id on stderr', async () => {
    const { code, stderr } = await crank(HELLO, { env: { ...env, ...traced.env } })
    expect(code).toBe(0)
    const spans = await traced.spansOf(traceIn(stderr), 'invoke', 'POST /route', 'POST /execute', 'worker_execute')
    const children = [
      {
        span: 'crank-controller: POST /execute CLIENT',
        children: [{ span: 'crank-worker-hello-world: worker_execute SERVER', children: [] }],
      },
      { span: 'crank-controller: policy.evaluate INTERNAL', children: [] },
      { span: 'crank-controller: worker.select INTERNAL', children: [] },
    ]
    const route = { span: 'crank-controller: POST /route SERVER', children }
    expect(treesOf(spans)).toEqual([{ span: 'crank-cli: invoke CLIENT', children: [route] }])
    const [root] = ofCli(spans)
    expect(root).toMatchObject({ status: { code: 'UNSET' } })
    expect(root!.attributes).toEqual({
      ...ids,
      'server.port': traced.mesh.controller.port,
      'crank.capability': 'invoke:hello_world',
      'crank.worker_id': 'worker-hello-world',
      'opa.decision_id': spans.find(({ name }) => name === 'worker_execute')!.attributes['opa.decision_id'],
      'http.response.status_code': 200,
    })
  })

  test('the payload on the command line goes to no collector', () => {
    expect(ofCli(traced.receiver.spans()).length).toBeGreaterThan(0)
    expect(traced.receiver.bytes().toString('utf8')).not.toContain('"message"')
  })

  test('a denied call is in it as an answer, not as an error', async () => {
    const denied = ['invoke', 'convert', 'document_to_pdf', '-o', 'json']
    const { code, stdout, stderr } = await crank(denied, { env: { ...env, ...traced.env } })
    expect(code).toBe(1)
    const { trace_id } = JSON.parse(stdout) as { trace_id: string }
    expect(traceIn(stderr)).toBe(trace_id)
    const spans = await traced.spansOf(trace_id, 'invoke', 'POST /route')
    expect(ofCli(spans)).toMatchObject([
      { attributes: { 'http.response.status_code': 403 }, status: { code: 'UNSET' } },
    ])
    expect(treesOf(spans)).toHaveLength(1)
  })

  test('workers that goes well leaves no span and prints no trace id', async () => {
    const polled = await crank(['workers'], { env: { ...env, ...traced.env } })
    expect({ code: polled.code, stderr: polled.stderr }).toEqual({ code: 0, stderr: '' })
    // A call after it, all of whose spans are there: then those of the poll would be too.
    const { stderr } = await crank(HELLO, { env: { ...env, ...traced.env } })
    await traced.spansOf(traceIn(stderr), 'invoke', 'POST /route')
    expect(traced.receiver.spans().filter(({ name }) => name === 'GET /workers')).toEqual([])
  })

  test('workers that fails is an error of the command, in a trace that is said', async () => {
    const { code, stderr } = await crank(['workers'], {
      env: { ...env, ...traced.env, CONTROLLER_URL: 'https://127.0.0.1:1' },
    })
    expect(code).toBe(3)
    const spans = await traced.spansOf(traceIn(stderr), 'GET /workers')
    expect(spans).toMatchObject([{ service: 'crank-cli', kind: 'CLIENT', attributes: ids, status: { code: 'ERROR' } }])
  })

  test('a stream lies within the span of its command, to the last event', async () => {
    const ticks = ['invoke', 'stream', 'sse_events', '--data', '{"interval_ms":20,"count":3}']
    const { code, stderr } = await crank(ticks, { env: { ...env, ...traced.env } })
    expect(code).toBe(0)
    const spans = await traced.spansOf(traceIn(stderr), 'invoke', 'POST /route', 'POST /execute', 'worker_execute')
    expect(treesOf(spans)).toHaveLength(1)
    expect(outsideTheirParents(spans)).toEqual([])
  })

  test('a controller that does not answer is an error, and the trace id is said', async () => {
    const { code, stderr } = await crank(HELLO, {
      env: { ...env, ...traced.env, CONTROLLER_URL: 'https://127.0.0.1:1' },
    })
    expect(code).toBe(3)
    const spans = await traced.spansOf(traceIn(stderr), 'invoke')
    expect(spans).toMatchObject([{ service: 'crank-cli', attributes: ids, status: { code: 'ERROR' } }])
  })

  test('Ctrl-C in the middle of a stream sends the span before the process ends', async () => {
    const child = startCrank(TICKS, { env: { ...env, ...traced.env } })
    let [out, err] = ['', '']
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (err += chunk))
    await until('the first event is printed', () => out.includes('"sequence":1'))
    child.kill('SIGINT')
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    expect({ code, signal }).toEqual({ code: null, signal: 'SIGINT' })
    expect(ofCli(await traced.spansOf(traceIn(err), 'invoke'))).toHaveLength(1)
  })

  test('a reader that leaves in the middle of a stream is told of in the traces like any other', async () => {
    const child = startCrank(['invoke', 'stream', 'sse_events', '--data', '{"interval_ms":20,"count":10000}'], {
      env: { ...env, ...traced.env },
    })
    let err = ''
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (err += chunk))
    child.stdout!.once('data', () => child.stdout!.destroy())
    const [code] = (await once(child, 'exit')) as [number | null]
    expect(code).toBe(0)
    expect(ofCli(await traced.spansOf(traceIn(err), 'invoke'))).toHaveLength(1)
  })

  for (const [what, mode] of [
    ['is away', undefined],
    ['never answers', 'hang'],
    ['fails', 'fail'],
  ] as const) {
    test(`a collector that ${what} costs the span and nothing else`, async () => {
      const receiver = mode && (await startOtlpReceiver({ mode }))
      const { code, stdout, stderr } = await crank(HELLO, {
        env: { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver?.url ?? 'http://127.0.0.1:1' },
      })
      expect({ code, greeting: (JSON.parse(stdout) as { greeting: string }).greeting }).toEqual({
        code: 0,
        greeting: 'Hello, Ada!',
      })
      expect(stderr).toMatch(/^200 {2}as /m)
      expect(stderr).toMatch(/^‼ .*spans/m)
      await receiver?.close()
    })
  }
})

describe('without one', () => {
  test('the call is the controller’s trace, whose root is there, by the id that the command prints', async () => {
    const { stderr } = await crank(HELLO, { env })
    const spans = await traced.spansOf(traceIn(stderr), 'POST /route', 'POST /execute', 'worker_execute')
    expect(ofCli(spans)).toEqual([])
    expect(spans.find(({ name }) => name === 'POST /route')!.parentSpanId).toBeUndefined()
    expect(treesOf(spans)).toHaveLength(1)
  })

  test('workers prints no trace id that could not be looked up', async () => {
    const { code, stderr } = await crank(['workers'], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('no tracer, no SDK and no gRPC is loaded', async () => {
    const script = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      process.on('exit', () => console.error('loaded', loaded.length > 50, JSON.stringify(loaded.filter((url) => /opentelemetry|grpc|@fastify/.test(url)))))`
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
    const { code, stderr } = await crank(HELLO, { env, nodeArgs })
    expect(code).toBe(0)
    expect(stderr).toMatch(/^loaded true \[\]$/m)
  })
})
