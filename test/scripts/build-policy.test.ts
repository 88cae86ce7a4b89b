// build-policy with a real OPA, on a copy of policies/: whatever does not belong together is found.
import { appendFile, cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { buildPolicy, findStalePolicy } from '../../scripts/build-policy.ts'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { policySourceHash } from '../../src/policy/data/source-hash.ts'

const ROOT = join(import.meta.dirname, '../..')
const WAY_OUT = 'run npm run build:policy and commit both files'
let opa: string
let dir: string

beforeAll(async () => {
  opa = await findTool('opa')
}, 600_000)
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'build-policy-'))
  await cp(join(ROOT, 'policies'), dir, { recursive: true })
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const check = () => run(process.execPath, [join(ROOT, 'scripts/build-policy.ts'), '--check', '--dir', dir])

test('accepts the committed policy.wasm, wherever the folder lies', async () => {
  expect(await check()).toEqual({ code: 0, stdout: '', stderr: '' })
})

test('gives the same bytes each time', async () => {
  const [first, second] = [await buildPolicy(dir, opa), await buildPolicy(dir, opa)]
  expect(first.wasm.equals(second.wasm)).toBe(true)
  expect(first.manifest).toBe(second.manifest)
})

test('refuses a policy.wasm whose Rego has changed since, and says how to fix it', async () => {
  await appendFile(join(dir, 'common.rego'), '# a change\n')
  const { code, stderr } = await check()
  expect(code).toBe(1)
  expect(stderr).toBe(`policy.wasm was built from other Rego (${dir}): ${WAY_OUT}\n`)
})

test('needs no OPA to see that the Rego has changed', async () => {
  await appendFile(join(dir, 'common.rego'), '# a change\n')
  expect(await findStalePolicy(dir, '/nowhere/opa')).toContain('built from other Rego')
})

test('refuses a policy.wasm with one byte changed', async () => {
  const wasm = await readFile(join(dir, 'policy.wasm'))
  wasm[wasm.length - 1]! ^= 1
  await writeFile(join(dir, 'policy.wasm'), wasm)
  expect(await findStalePolicy(dir, opa)).toContain('policy.wasm differs from what OPA builds from the Rego')
})

test('refuses a policy.wasm.json that says something else', async () => {
  const path = join(dir, 'policy.wasm.json')
  await writeFile(path, (await readFile(path, 'utf8')).replace(/"opa_version": "[^"]+"/, '"opa_version": "1.0.0"'))
  expect(await findStalePolicy(dir, opa)).toContain('policy.wasm.json does not describe policy.wasm')
})

for (const name of ['policy.wasm', 'policy.wasm.json']) {
  test(`refuses a folder without ${name}`, async () => {
    await rm(join(dir, name))
    expect(await findStalePolicy(dir, opa)).toContain('is missing')
  })
}

test('says what OPA says when the Rego does not compile', async () => {
  await writeFile(join(dir, 'common.rego'), 'package crank.common\n\nbroken {')
  await expect(buildPolicy(dir, opa)).rejects.toThrow(/opa build failed in .*common\.rego:3/s)
})

test('fixes a stale folder when it is run without --check', async () => {
  await appendFile(join(dir, 'common.rego'), '# a change\n')
  const { code } = await run(process.execPath, [join(ROOT, 'scripts/build-policy.ts'), '--dir', dir])
  expect(code).toBe(0)
  expect(await findStalePolicy(dir, opa)).toBeUndefined()
})

test('the source hash knows the names, and leaves out tests and the API authorisation of OPA', async () => {
  const before = await policySourceHash(dir)
  expect(before.files).toEqual(['batch.rego', 'capability_access.rego', 'common.rego', 'worker_registration.rego'])
  await appendFile(join(dir, 'common_test.rego'), '# a change\n')
  await appendFile(join(dir, 'system_authz.rego'), '# a change\n')
  expect(await policySourceHash(dir)).toEqual(before)
  await rename(join(dir, 'common.rego'), join(dir, 'words.rego'))
  expect((await policySourceHash(dir)).sha256).not.toBe(before.sha256)
})
