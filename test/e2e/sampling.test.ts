// What is not sampled: not exported and no exemplar, but found in answer, audit and log by the same real ids.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { STREAMING } from '../fixtures/mesh.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'

const CALL = { verb: 'invoke', capability: 'hello_world', payload: {} }
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331'

let traced: TracedMesh
let worker: FakeWorker
beforeAll(async () => {
  traced = await startTracedMesh({
    env: { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' },
  })
  worker = await startFakeWorker(traced.mesh, greets)
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await traced.close()
})

const exemplars = async (): Promise<string[]> => {
  const { text } = await traced.mesh.admin('/metrics')
  return [...text.matchAll(/ # \{trace_id="([^"]*)"/g)].map(([, traceId]) => traceId!)
}

for (const [what, headers] of [
  ['without a traceparent, by a ratio of 0', {}],
  ['with a traceparent whose flag is 00', { traceparent: `${PARENT}-00` }],
] as const) {
  test(`a call ${what} has real ids all the way and leaves no exemplar`, async () => {
    const answer = await traced.mesh.route(STREAMING, CALL, headers)
    const traceId = answer.headers['x-trace-id'] as string
    expect({ status: answer.status, traceId }).toEqual({
      status: 200,
      traceId: expect.stringMatching(/^(?!0{32})[0-9a-f]{32}$/),
    })
    expect(worker.seen.at(-1)!.headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-(?!0{16})[0-9a-f]{16}-00$`))
    const record = await traced.mesh.auditedAs(({ trace_id }) => trace_id === traceId)
    expect(record['span_id']).toMatch(/^(?!0{16})[0-9a-f]{16}$/)
    expect(await exemplars()).toEqual([])
  })
}

test('a call with a sampled parent is exported and leaves exemplars, and none before it was', async () => {
  const { answer, traceId } = await traced.call('invoke', 'hello_world')
  expect(answer.status).toBe(200)
  await traced.spansOf(traceId, 'call', 'POST /route', 'policy.evaluate', 'worker.select', 'POST /execute')
  expect(new Set(traced.receiver.spans().map((span) => span.traceId))).toEqual(new Set([traceId]))
  expect(new Set(await exemplars())).toEqual(new Set([traceId]))
})
