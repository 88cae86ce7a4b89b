import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { loadWorker, workerNames } from '../../src/workers/registry.ts'

type Manifests = {
  workers: Record<string, { worker_id: string; required_capabilities: string[]; provided_capabilities: string[] }>
}

test('knows the bundled workers by name', () => {
  expect(workerNames).toStrictEqual(['hello_world', 'streaming'])
})

for (const name of workerNames) {
  test(`${name} describes every capability: sentence, SLO and error codes`, async () => {
    const worker = await loadWorker(name)
    expect(worker?.capabilities.length).toBeGreaterThan(0)
    for (const { schema } of worker?.capabilities ?? []) {
      expect(schema.description).toMatch(/\.$/)
      expect(Object.keys(schema.slo ?? {})).not.toHaveLength(0)
      expect(schema.error_codes).not.toHaveLength(0)
    }
  })

  test(`${name} offers and requires exactly what the policy data lets it`, async () => {
    const { workers } = JSON.parse(await readFile('policies/data/worker_manifests.json', 'utf8')) as Manifests
    const worker = (await loadWorker(name))!
    const manifest = workers[`spiffe://crank.local/worker/${name.replaceAll('_', '-')}`]!
    expect(worker.id).toBe(manifest.worker_id)
    expect(worker.capabilities.map(({ capability }) => capability).sort()).toStrictEqual(manifest.provided_capabilities)
    expect([...worker.requires].sort()).toStrictEqual(manifest.required_capabilities)
  })
}

test('knows no other names', async () => {
  expect(await loadWorker('toString')).toBeUndefined()
  expect(await loadWorker('nobody')).toBeUndefined()
})
