import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { findStaleSchemas, policySchemas } from '../../scripts/generate-policy-schemas.ts'

test('the committed schemas match their source', async () => {
  expect(await findStaleSchemas()).toEqual([])
})

test('a schema that was changed by hand, or is missing, is found', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crank-schemas-'))
  const [[path, text] = ['', '']] = [...(await policySchemas(dir))]
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  expect(await findStaleSchemas(dir)).toHaveLength((await policySchemas(dir)).size - 1)
  await writeFile(path, text.replace('"type"', '"typo"'))
  expect(await findStaleSchemas(dir)).toContain(`${path} differs from its source`)
  await rm(dir, { recursive: true })
})

// `opa test policies` loads every JSON file below the folder: two schemas in one folder would not load at all.
test('each schema has a folder of its own', async () => {
  const folders = [...(await policySchemas()).keys()].map(dirname)
  expect(new Set(folders).size).toBe(folders.length)
})
