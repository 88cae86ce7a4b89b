// `crank policy build` with a real OPA: what is in the bundle, and whose signature holds.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { findTool } from '../../../scripts/tools/native-tools.ts'
import { run } from '../../../scripts/tools/run.ts'
import { BundleError, buildBundle, verifyBundle } from '../../../src/policy/engine/bundle.ts'
import { PolicyCompileError } from '../../../src/policy/engine/compile.ts'
import { mintKey } from '../../fixtures/bundle-server.ts'
import { tempDir } from '../../fixtures/pki/credential-files.ts'
import { copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'

let opa: string
beforeAll(async () => {
  opa = await findTool('opa')
})
const build = (options: { dir?: string; out: string; revision?: string; signingKey?: string }) =>
  buildBundle({ dir: POLICY_DIR, opa, now: Date.now, ...options })

describe('the bundle', () => {
  test('owns the roots of the policy and of its data, and leaves the API authorisation alone', async () => {
    await using dir = await tempDir()
    const built = await build({ out: join(dir.path, 'b.tar.gz'), revision: 'r-1' })
    expect(built).toMatchObject({ revision: 'r-1', algorithm: null })
    const { stdout } = await run(opa, ['inspect', '-f', 'json', built.file])
    const { manifest, namespaces } = JSON.parse(stdout) as { manifest: object; namespaces: object }
    expect(manifest).toMatchObject({ revision: 'r-1', roots: built.roots })
    expect(built.roots).toEqual(['crank', 'blocked', 'enforcement', 'exceptions', 'workers'])
    expect(Object.keys(namespaces)).not.toContain('data.system.authz')
  })

  test('keeps 19 digits, and is the same for the same folder', async () => {
    await using dir = await tempDir()
    const [one, two] = [join(dir.path, 'one.tar.gz'), join(dir.path, 'two.tar.gz')]
    await build({ out: one })
    await build({ out: two })
    expect((await readFile(one)).equals(await readFile(two))).toBe(true)
    const legacy = 'data.exceptions["spiffe://crank.local/worker/legacy-service"].expires_after'
    const { stdout } = await run(opa, ['eval', '-f', 'raw', '-b', one, legacy])
    expect(stdout.trim()).toBe('1767139200000000000')
  })

  test('is not made of Rego that does not compile; the one that was there stays', async () => {
    await using dir = await tempDir()
    await using broken = await copyPolicies({ 'common.rego': 'package crank.common\n\nbroken {' })
    const out = join(dir.path, 'b.tar.gz')
    await writeFile(out, 'the last one')
    await expect(build({ dir: broken.dir, out })).rejects.toThrow(PolicyCompileError)
    expect(await readFile(out, 'utf8')).toBe('the last one')
  })

  test.each(['', 'two words', 'line\nbreak', 'x'.repeat(129)])('has no revision %j', async (revision) => {
    await using dir = await tempDir()
    await expect(build({ out: join(dir.path, 'b'), revision })).rejects.toThrow(BundleError)
  })

  test('is not signed with what is not a key', async () => {
    await using dir = await tempDir()
    const signingKey = join(dir.path, 'key')
    await writeFile(signingKey, 'nothing')
    await expect(build({ out: join(dir.path, 'b'), signingKey })).rejects.toThrow('must be a PEM key')
  })
})

test('a signature holds for the key that made it, for no other, and not without one', async () => {
  await using dir = await tempDir()
  const [own, other] = [await mintKey(dir.path, 'own'), await mintKey(dir.path, 'other')]
  const file = join(dir.path, 'b.tar.gz')
  expect(await build({ out: file, signingKey: own.privateKeyFile })).toMatchObject({ algorithm: 'ES256' })
  expect(await verifyBundle({ file, verificationKey: own.publicKeyFile, opa })).toBeUndefined()
  expect(await verifyBundle({ file, verificationKey: other.publicKeyFile, opa })).toContain('invalid ECDSA signature')
  await build({ out: file })
  expect(await verifyBundle({ file, verificationKey: own.publicKeyFile, opa })).toContain('.signatures.json')
})
