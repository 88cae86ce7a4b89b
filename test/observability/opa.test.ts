// A real OPA as both compose files together start it, with observability/opa.yaml: only the address of Jaeger is another.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pinOf } from '../../scripts/tools/native-tools.ts'
import { commandOf, environmentOf, mountsOf, service, together } from '../docker/compose.ts'
import { startComposeOpa, type ComposeOpa } from '../docker/compose-opa.ts'
import { freePort } from '../../scripts/lab/free-port.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../../scripts/lab/otlp-receiver.ts'
import { policyInput } from '../fixtures/policy-input.ts'
import { readYaml } from './files.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const DECISION = '/v1/data/crank/capability_access/decision'
const REVISION = '/v1/data/crank/revision/loaded'
const PARENT = 'b7ad6b7169203331'

type DecisionLine = Readonly<Record<string, unknown>> & { readonly path: string; readonly trace_id: string }

const input = policyInput(STREAMING, 'stream:text_events')
const traceId = (n: number): string => n.toString(16).padStart(32, '0')

const startWith = (address: string): Promise<ComposeOpa> =>
  startComposeOpa(together, [`--set=distributed_tracing.address=${address}`])

function ask(opa: ComposeOpa, path: string, body: unknown, traceparent?: string): ReturnType<ComposeOpa['ask']> {
  const headers = { 'content-type': 'application/json', ...(traceparent === undefined ? {} : { traceparent }) }
  return opa.ask(path, { method: 'POST', headers, body: JSON.stringify({ input: body }) })
}

function decisions(opa: ComposeOpa): DecisionLine[] {
  const lines = opa.lines().map((line) => JSON.parse(line) as DecisionLine & { msg: string })
  return lines.filter(({ msg }) => msg === 'Decision Log')
}

describe('the configuration', () => {
  test('is given by the one flag that the command has not', () => {
    const { OPA_RUN_CONFIG_FILE = '' } = environmentOf(service('opa', together))
    expect(mountsOf(service('opa', together)).map(({ source, target }) => [source, target])).toContainEqual([
      './observability/opa.yaml',
      OPA_RUN_CONFIG_FILE,
    ])
    expect(
      commandOf(service('opa', together).command).filter((word) => /^(-c|--config-file|--set)/.test(word)),
    ).toEqual([])
  })

  test('names the version that runs', async () => {
    const { distributed_tracing } = await readYaml<{ distributed_tracing: { resource: { service_version: string } } }>(
      'observability/opa.yaml',
    )
    expect(distributed_tracing.resource.service_version).toBe((await pinOf('opa')).version)
  })
})

describe('with Jaeger there', () => {
  let receiver: OtlpReceiver
  let opa: ComposeOpa
  beforeAll(async () => {
    receiver = await startOtlpReceiver()
    opa = await startWith(`127.0.0.1:${receiver.port}`)
  })
  afterAll(async () => {
    await opa.stop()
    await receiver.close()
  })

  test("a sampled request's decision is a span below the caller's, and a line with the ids of both sides", async () => {
    const answer = await ask(opa, DECISION, input, `00-${traceId(1)}-${PARENT}-01`)
    expect(await answer.json()).toMatchObject({ result: { allow: true } })

    const spans = await receiver.waitFor((all) => all.some(({ attributes }) => 'opa.decision_id' in attributes))
    expect(spans.map(({ service, traceId: id }) => [service, id])).toEqual(spans.map(() => ['opa', traceId(1)]))
    expect(spans.map(({ parentSpanId }) => parentSpanId)).toContain(PARENT)
    const [line] = decisions(opa)
    expect(line).toMatchObject({
      trace_id: traceId(1),
      input: { context: { decision_id: input.context.decision_id } },
      result: { allow: true },
      level: 'info',
    })
    const span = spans.find(({ spanId }) => spanId === line?.['span_id'])
    expect(span?.attributes['opa.decision_id']).toBe(line?.['decision_id'])
  })

  test('health checks, scrapes and what is not sampled make no spans', async () => {
    await opa.checkHealth()
    await fetch(`${opa.diagnostic}/metrics`)
    await ask(opa, DECISION, input)
    await ask(opa, DECISION, input, `00-${traceId(2)}-${PARENT}-00`)
    await ask(opa, DECISION, input, `00-${traceId(3)}-${PARENT}-01`)
    const spans = await receiver.waitFor((all) => all.some((span) => span.traceId === traceId(3)))
    expect([...new Set(spans.map((span) => span.traceId))].sort()).toEqual([traceId(1), traceId(3)])
  })

  test('a decision that is not sampled is logged all the same', () => {
    expect(decisions(opa).map(({ trace_id }) => trace_id)).toContain(traceId(2))
  })

  test("the controller's question about OPA's data is not logged", async () => {
    const before = decisions(opa).length
    expect((await ask(opa, `${REVISION}?provenance=true`, { documents: {} })).status).toBe(200)
    await ask(opa, `${DECISION}?provenance=true`, input)
    await expect.poll(() => decisions(opa).length).toBe(before + 1)
    expect(decisions(opa).filter(({ path }) => path.includes('revision'))).toEqual([])
  })
})

describe('with Jaeger away, or there and silent', () => {
  const started: { close(): Promise<void> }[] = []
  afterAll(() => Promise.all(started.map((part) => part.close())))

  for (const kind of ['away', 'silent'] as const) {
    test(`${kind}: every decision is given and logged, and hardly anything else is`, async () => {
      const receiver = kind === 'silent' ? await startOtlpReceiver({ mode: 'hang' }) : undefined
      const opa = await startWith(`127.0.0.1:${receiver?.port ?? (await freePort())}`)
      started.push({ close: () => opa.stop() }, ...(receiver === undefined ? [] : [receiver]))
      const numbers = Array.from({ length: 200 }, (_, n) => n + 1)
      for (const n of numbers) {
        const answer = await ask(opa, DECISION, input, `00-${traceId(n)}-${PARENT}-01`)
        expect(await answer.json()).toMatchObject({ result: { allow: true } })
      }
      await expect.poll(() => decisions(opa).map(({ trace_id }) => trace_id)).toEqual(numbers.map(traceId))
      // It says so once for each batch that it gives up, and that takes it ten seconds.
      expect(opa.lines().length - numbers.length).toBeLessThan(numbers.length / 4)
    })
  }
})
