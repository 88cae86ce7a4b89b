import { expect, test } from 'vitest'
import { loadWorker, workerNames } from '../../src/workers/registry.ts'

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
}

test('knows no other names', async () => {
  expect(await loadWorker('toString')).toBeUndefined()
  expect(await loadWorker('nobody')).toBeUndefined()
})
