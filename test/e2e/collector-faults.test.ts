// A collector that is away, fails, hangs or is slow costs spans and nothing else: callers are served, the controller ends.
import { expect, test } from 'vitest'
import { greets, startFakeWorker } from '../fakes/worker.ts'
import { startMesh, STREAMING } from '../fixtures/mesh.ts'
import { startOtlpReceiver } from '../../scripts/lab/otlp-receiver.ts'

const CALLS = 40
/** Batches leave at once, and the queue is soon full. */
const EAGER = { OTEL_BSP_SCHEDULE_DELAY: '10', OTEL_BSP_MAX_QUEUE_SIZE: '64', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '16' }

async function callsBeside(url: string): Promise<number[]> {
  const mesh = await startMesh({ env: { ...EAGER, OTEL_EXPORTER_OTLP_ENDPOINT: url } })
  const worker = await startFakeWorker(mesh, greets)
  await worker.register()
  const call = () => mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {} })
  const statuses: number[] = []
  for (let round = 0; round < 4; round++) {
    const answers = await Promise.all(Array.from({ length: CALLS / 4 }, call))
    statuses.push(...answers.map(({ status }) => status))
  }
  const outcomes = await mesh.audit()
  expect(outcomes.filter(({ event }) => event === 'policy_decision')).toHaveLength(CALLS)
  await worker.close()
  await expect(mesh.close()).resolves.toBeUndefined()
  return statuses
}

const ALL_SERVED = new Array<number>(CALLS).fill(200)

test('an absent collector changes nothing for callers', async () => {
  expect(await callsBeside('http://127.0.0.1:1')).toEqual(ALL_SERVED)
})

for (const mode of ['fail', 'hang', 'slow'] as const) {
  test(`a collector in mode "${mode}" changes nothing for callers`, async () => {
    const receiver = await startOtlpReceiver({ mode, delayMs: 2000 })
    expect(await callsBeside(receiver.url)).toEqual(ALL_SERVED)
    expect(receiver.batches()).toBeGreaterThan(0)
    await receiver.close()
  })
}

test('while the collector is away, lost spans are counted, and no exemplar names a trace that nobody can find', async () => {
  const mesh = await startMesh({ env: { ...EAGER, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' } })
  const worker = await startFakeWorker(mesh, greets)
  await worker.register()
  const call = async (): Promise<string> => {
    const answer = await mesh.route(STREAMING, { verb: 'invoke', capability: 'hello_world', payload: {} })
    return answer.headers['x-trace-id'] as string
  }
  const lost = async (): Promise<number> => {
    await call()
    const { text } = await mesh.admin('/metrics')
    return Number(/^controller_spans_lost_total (\d+)/m.exec(text)?.[1])
  }
  // Four a call, and the queue holds 64.
  await expect.poll(lost, { timeout: 20_000, interval: 10 }).toBeGreaterThan(20)
  const traceId = await call()
  expect((await mesh.admin('/metrics')).text).not.toContain(traceId)
  await worker.close()
  await mesh.close()
})
