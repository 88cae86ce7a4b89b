// The nine workers as processes of their own: each is found in a real Jaeger by the service name that the plan gives it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseCapability, splitCapability } from '../../src/core/capability.ts'
import { workerNames } from '../../src/workers/registry.ts'
import { startCrank } from '../cli/crank.ts'
import { startMesh } from '../fixtures/mesh.ts'
import { POLICY_DIR } from '../fixtures/policy-dir.ts'
import { startJaeger } from '../fixtures/stack/jaeger.ts'

const PATIENCE = { timeout: 120_000, interval: 200 }

test('all nine workers are services in Jaeger, each with the span of its call', async () => {
  await using parts = new AsyncDisposableStack()
  const jaeger = await startJaeger({ tempo: '127.0.0.1:1' })
  parts.defer(() => jaeger.close())
  const exporting = { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl }
  const mesh = await startMesh({ env: exporting })
  parts.defer(() => mesh.close())
  for (const name of workerNames) {
    const identity = `worker/${name.replaceAll('_', '-')}`
    const env = {
      ...(await mesh.tlsEnv(identity)),
      ...exporting,
      CONTROLLER_URL: mesh.origin,
      CRANK_STATE_DIR: mesh.dir,
    }
    const worker = startCrank(['worker', name], { env })
    parts.defer(() => void worker.kill('SIGKILL'))
  }
  const started = parts.move()
  onTestFinished(() => started.disposeAsync())

  const live = async (): Promise<number> =>
    (JSON.parse((await mesh.admin('/workers')).text) as { workers: unknown[] }).workers.length
  await expect.poll(live, PATIENCE).toBe(9)
  for (const [spiffeId, { provided_capabilities }] of Object.entries(await manifests())) {
    // As itself, which every manifest allows. What it makes of the empty payload is not asked here: also a refusal has its span.
    const { verb, name } = splitCapability(parseCapability(provided_capabilities[0] ?? ''))
    const answer = await mesh.route(spiffeId.replace('spiffe://crank.local/', ''), {
      verb,
      capability: name,
      payload: {},
    })
    expect(answer.headers['x-worker-id']).toBe(`worker-${spiffeId.split('/').at(-1)}`)
  }

  const services = workerNames.map((name) => `crank-worker-${name.replaceAll('_', '-')}`).sort()
  expect(services).toHaveLength(9)
  await expect.poll(async () => jaeger.services(), PATIENCE).toEqual(['crank-controller', ...services].sort())
  for (const service of services) expect(await jaeger.operations(service)).toContain('worker_execute')
})

async function manifests(): Promise<Record<string, { provided_capabilities: string[] }>> {
  const text = await readFile(join(POLICY_DIR, 'data/worker_manifests.json'), 'utf8')
  return (JSON.parse(text) as { workers: Record<string, { provided_capabilities: string[] }> }).workers
}
