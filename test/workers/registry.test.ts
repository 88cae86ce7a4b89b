import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { WorkerDefinition } from '../../src/worker/define.ts'
import { workerNamed, workerNames } from '../../src/workers/registry.ts'

type Manifests = {
  workers: Record<string, { worker_id: string; required_capabilities: string[]; provided_capabilities: string[] }>
}

// A file of its own, or a folder with worker.ts in it: other folders hold what workers share.
test('knows every worker that is there, by name', async () => {
  const entries = await readdir('src/workers', { withFileTypes: true, recursive: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const names = paths.flatMap((path) => /^src\/workers\/([^/]+?)(?:\/worker)?\.ts$/.exec(path)?.[1] ?? [])
  expect([...workerNames].sort()).toStrictEqual(names.filter((name) => name !== 'registry').sort())
})

let stateDir: string
beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'crank-workers-'))
})
afterAll(() => rm(stateDir, { recursive: true, force: true }))

async function withWorker(name: string, look: (worker: WorkerDefinition) => void | Promise<void>): Promise<void> {
  const worker = await workerNamed(name)!({ stateDir })
  try {
    await look(worker)
  } finally {
    await worker.close?.()
  }
}

for (const name of workerNames) {
  test(`${name} describes every capability: sentence, SLO and error codes`, async () => {
    await withWorker(name, ({ capabilities }) => {
      expect(capabilities.length).toBeGreaterThan(0)
      for (const { schema } of capabilities) {
        expect(schema.description).toMatch(/\.$/)
        expect(Object.keys(schema.slo ?? {})).not.toHaveLength(0)
        expect(schema.error_codes).not.toHaveLength(0)
      }
    })
  })

  test(`${name} offers and requires exactly what the policy data lets it`, async () => {
    const { workers } = JSON.parse(await readFile('policies/data/worker_manifests.json', 'utf8')) as Manifests
    const manifest = workers[`spiffe://crank.local/worker/${name.replaceAll('_', '-')}`]!
    await withWorker(name, ({ id, capabilities, requires }) => {
      expect(id).toBe(manifest.worker_id)
      expect(capabilities.map(({ capability }) => capability).sort()).toStrictEqual(manifest.provided_capabilities)
      expect([...requires].sort()).toStrictEqual(manifest.required_capabilities)
    })
  })
}

test('knows no other names', () => {
  expect(workerNamed('toString')).toBeUndefined()
  expect(workerNamed('nobody')).toBeUndefined()
})
