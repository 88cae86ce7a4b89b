// policy.wasm in memory, by a real OPA.
import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pinOf } from '../../../scripts/tools/native-tools.ts'
import {
  compilePolicy,
  loadWasm,
  OPA_VERSION,
  PolicyCompileError,
  StalePolicyError,
} from '../../../src/policy/engine/compile.ts'
import { policySourceHash } from '../../../src/policy/data/source-hash.ts'
import { compilePolicies, copyPolicies } from '../../fixtures/policy-dir.ts'

const env = process.env
const WITHOUT_OPA = { PATH: '', CRANK_CACHE_DIR: '/nowhere' }
const regoOf = async (dir: string) => ({ dir, sourceSha256: (await policySourceHash(dir)).sha256 })

test('the version is the one that the tools are pinned to', async () => {
  expect(OPA_VERSION).toBe((await pinOf('opa')).version)
})

test('makes the same bytes as the build script, and writes nothing', async () => {
  await using policies = await copyPolicies()
  await compilePolicies(policies.dir)
  const wasm = await readFile(join(policies.dir, 'policy.wasm'))
  await rm(join(policies.dir, 'policy.wasm'))
  expect((await compilePolicy(await regoOf(policies.dir), { env })).equals(wasm)).toBe(true)
  await expect(readFile(join(policies.dir, 'policy.wasm'))).rejects.toThrow('ENOENT')
})

test('a fitting policy.wasm is taken as it is, without OPA', async () => {
  await using policies = await copyPolicies()
  await compilePolicies(policies.dir)
  const reasons: string[] = []
  const wasm = await loadWasm(await regoOf(policies.dir), { env: WITHOUT_OPA, onCompile: (why) => reasons.push(why) })
  expect([wasm.length > 0, reasons]).toEqual([true, []])
})

test('one of other Rego is compiled again, and the reason is reported; without OPA it is refused', async () => {
  await using policies = await copyPolicies()
  await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
  const rego = await regoOf(policies.dir)
  const reasons: string[] = []
  await loadWasm(rego, { env, onCompile: (why) => reasons.push(why) })
  expect(reasons).toEqual([expect.stringContaining('was not built from the Rego beside it')])
  await expect(loadWasm(rego, { env: WITHOUT_OPA })).rejects.toThrow(StalePolicyError)
})

test('Rego that changed since it was read is not compiled into a policy', async () => {
  await using policies = await copyPolicies()
  const rego = await regoOf(policies.dir)
  await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
  await expect(compilePolicy(rego, { env })).rejects.toThrow(PolicyCompileError)
})

test('an $OPA_BIN that cannot be used is an error, not a missing OPA', async () => {
  await using policies = await copyPolicies()
  await appendFile(join(policies.dir, 'common.rego'), '# a change\n')
  const failing = loadWasm(await regoOf(policies.dir), { env: { OPA_BIN: '/nowhere/opa' } })
  await expect(failing).rejects.toThrow('OPA_BIN=/nowhere/opa is not an executable file')
})
