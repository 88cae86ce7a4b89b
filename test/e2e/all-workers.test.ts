// All bundled workers at one controller under enforcement: every example of docs/workers/ is called as its worker's own
// identity may call it, gets the answer of the page, and leaves one whole trace.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { workerNamed, workerNames } from '../../src/workers/registry.ts'
import type { WorkerDefinition } from '../../src/worker/define.ts'
import { cutAs, readExamples, withoutVolatile, workerPages } from '../../scripts/lab/worker-examples.ts'
import { postJson } from '../fixtures/mesh.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { treesOf } from '../fixtures/span-tree.ts'
import { startTracedMesh, type TracedMesh } from '../fixtures/traced-mesh.ts'

const examples = await readExamples()
let parts: AsyncDisposableStack
let traced: TracedMesh
const definitions: WorkerDefinition[] = []

beforeAll(async () => {
  parts = new AsyncDisposableStack()
  const stateDir = await mkdtemp(join(tmpdir(), 'crank-all-'))
  parts.defer(() => rm(stateDir, { recursive: true, force: true }))
  traced = await startTracedMesh()
  parts.defer(traced.close)
  const { mesh, env } = traced
  for (const name of workerNames) {
    const definition = await workerNamed(name)!({ stateDir })
    const worker = await startRealWorker(mesh, mesh.origin, definition, { env })
    parts.defer(() => worker.close())
    definitions.push(definition)
  }
})
afterAll(() => parts.disposeAsync())

const pathOf = ({ id }: WorkerDefinition): string => id.replace('worker-', 'worker/')

test('every capability of every worker has an example', () => {
  const offered = definitions.flatMap(({ capabilities }) => capabilities.map(({ capability }) => String(capability)))
  expect(offered.length).toBeGreaterThan(12)
  expect([...new Set(examples.map(({ capability }) => capability))].sort()).toEqual(offered.sort())
})

test('every worker has a page, with examples of its own capabilities only', async () => {
  expect(await workerPages()).toEqual([...workerNames].sort())
  const shown = examples.map(({ worker, capability }) => `${worker} ${capability}`)
  const own = workerNames.flatMap((name, at) =>
    (definitions[at]?.capabilities ?? []).map(({ capability }) => `${name} ${String(capability)}`),
  )
  expect([...new Set(shown)].sort()).toEqual(own.sort())
})

describe.each(examples)('$capability ($title)', ({ capability, input, answer }) => {
  test('answers as its page says, in one trace', async () => {
    const worker = definitions.find(({ capabilities }) => capabilities.some((one) => one.capability === capability))!
    const [verb, name] = capability.split(':')
    const request = postJson('/route', { verb, capability: name, payload: input, timeout_ms: 60_000 })
    const { mesh } = traced
    const called = await mesh.request(pathOf(worker), request)
    expect(called.status, called.text).toBe(200)
    const given = typeof answer === 'string' ? called.text.trim() : called.body
    expect(withoutVolatile(cutAs(given, answer))).toEqual(withoutVolatile(answer))

    const traceId = String(called.headers['x-trace-id'])
    const spans = await traced.spansOf(traceId, 'POST /route', 'policy.evaluate', 'POST /execute', 'worker_execute')
    const [tree, ...others] = treesOf(spans)
    expect(others).toEqual([])
    expect(tree?.span).toBe('crank-controller: POST /route SERVER')
    expect(spans.find(({ name: span }) => span === 'worker_execute')).toMatchObject({ service: `crank-${worker.id}` })
  })
})

test('a stranger gets nothing of any of them', async () => {
  for (const { capability } of examples) {
    const [verb, name] = capability.split(':')
    const { status, body } = await traced.mesh.request(
      'worker/stranger',
      postJson('/route', { verb, capability: name }),
    )
    expect([status, body.error]).toEqual([403, 'capability_access_denied'])
  }
})
