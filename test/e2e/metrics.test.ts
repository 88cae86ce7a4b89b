// The metrics of a controller at work: their form, their number whatever callers send, and the gauges of its parts.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { greets, startFakeWorker, type FakeWorker } from '../fakes/worker.ts'
import { exportedFamilies, exportedMetrics } from '../fixtures/exported-metrics.ts'
import { postJson, startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { parseOpenMetrics, seriesOf, type Family, type Sample } from '../fixtures/open-metrics.ts'
import { startTracedMesh } from '../fixtures/traced-mesh.ts'

const NAMES = 10_000
const AT_ONCE = 32

let mesh: Mesh
let worker: FakeWorker
beforeAll(async () => {
  mesh = await startMesh()
  worker = await startFakeWorker(mesh, greets)
  await worker.register()
})
afterAll(async () => {
  await worker.close()
  await mesh.close()
})

const scrape = async (): Promise<Family[]> => parseOpenMetrics((await mesh.admin('/metrics')).text)
const samplesOf = (families: Family[], name: string): readonly Sample[] =>
  families.find((family) => family.name === name)!.samples

describe('a scrape', () => {
  test('is OpenMetrics, every metric with its help and type, and exemplars on counters and buckets only', async () => {
    // Exemplars are there only where spans are exported.
    const traced = await startTracedMesh()
    onTestFinished(traced.close)
    const traceIds = new Set<string>()
    for (const capability of ['hello_world', 'text_events'])
      traceIds.add((await traced.call('invoke', capability)).traceId)
    const families = parseOpenMetrics((await traced.mesh.admin('/metrics')).text)
    const exemplars = families.flatMap(({ samples }) => samples.flatMap(({ exemplar }) => exemplar ?? []))
    expect(new Set(exemplars.map(({ labels }) => labels['trace_id']))).toEqual(traceIds)
    const histograms = families.filter(({ type, name }) => type === 'histogram' && name.startsWith('controller_'))
    expect(histograms.map(({ name }) => name)).toEqual([
      'controller_policy_eval_duration_seconds',
      'controller_route_duration_seconds',
      'controller_idempotency_write_seconds',
      'controller_queue_wait_seconds',
    ])
    // No call of this test waited, and no key was used: a histogram with a label has no series then.
    for (const { samples } of histograms.filter(({ samples }) => samples.length > 0)) {
      const last = samples.findLast(({ labels }) => labels['le'] === '+Inf')!
      expect(last.value).toBe(samples.findLast(({ name }) => name.endsWith('_count'))!.value)
    }
  })

  test('holds the metrics that the code is known to export, and no other', async () => {
    const known = await exportedFamilies()
    // Only where a candidate policy, the decision cache, a sidecar, several processes, a mesh or a collector of logs are configured.
    const optional =
      /^controller_(candidate|decision_cache|audit_ship(ped|_lag)|policy_(questions|batches)|process(es|_ends)|mesh)(_|$)/
    const always = known.map(({ name }) => name).filter((name) => !optional.test(name))
    const families = await scrape()
    expect(families.map(({ name }) => name).sort()).toEqual(always.sort())
    const series = await exportedMetrics()
    const unknown = families
      .flatMap(({ samples }) => samples.map(({ name }) => name))
      .filter((name) => !series.has(name))
    expect(unknown).toEqual([])
  })

  test('counts the live workers of every capability that a manifest names, from none on', async () => {
    const providers = samplesOf(await scrape(), 'controller_capability_providers')
    const counts = Object.fromEntries(providers.map(({ labels, value }) => [labels['capability'], value]))
    expect(counts).toMatchObject({ 'invoke:hello_world': 1, 'stream:text_events': 0, 'convert:document_to_pdf': 0 })
  })

  test('reports audit records that were dropped or wait: none of them', async () => {
    const families = await scrape()
    expect(samplesOf(families, 'controller_audit_dropped')).toMatchObject([{ value: 0 }])
    expect(samplesOf(families, 'controller_audit_oldest_seconds')).toMatchObject([{ value: 0 }])
  })
})

test('10,000 capability names that callers make up add at most one series to any metric', async () => {
  const json = (verb: string, capability: string) => postJson('/route', { verb, capability })
  const raw = (verb: string, capability: string) => ({ path: `/route/${verb}/${capability}`, method: 'POST' as const })
  for (const form of [json, raw]) await mesh.request(STREAMING, form('convert', 'document_to_pdf'))
  const before = new Map((await scrape()).map((family) => [family.name, seriesOf(family).size]))

  let next = 0
  const statuses = new Set<number>()
  const callOn = async (): Promise<void> => {
    for (let n = next++; n < NAMES; n = next++) {
      const form = n % 2 === 0 ? json : raw
      statuses.add((await mesh.request(STREAMING, form(`verb_${n % 100}`, `name_${n}`))).status)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, callOn))
  expect(statuses).toEqual(new Set([403]))

  const after = await scrape()
  const grown = after.map((family) => ({
    name: family.name,
    by: seriesOf(family).size - (before.get(family.name) ?? 0),
  }))
  // Node's own metrics have labels of their own, such as the kinds of sockets.
  const ours = grown.filter(({ name }) => name.startsWith('controller_'))
  expect(ours.filter(({ by }) => by > 1)).toEqual([])
  const others = samplesOf(after, 'controller_policy_denials').find(({ labels }) => labels['capability'] === 'other')
  expect(others?.value).toBe(NAMES)
})
