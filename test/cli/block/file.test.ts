// `crank block` and `crank unblock` without a mesh: the file of the policy folder, and every kind of invalid input.
import { lstat, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { copyPolicies, type PolicyDir } from '../../fixtures/policy-dir.ts'
import { crank } from '../in-process.ts'

const STREAMING = 'spiffe://crank.local/worker/streaming'
const FINGERPRINT = `sha256:${'ab'.repeat(32)}`
const SERIAL = `${'0f'.repeat(20)}:1a2b`
const AT = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string
const FULL = `{
\t"blocked": {
\t\t"identities": {
\t\t\t"spiffe://crank.local/worker/old": 1234567890123456789
\t\t},
\t\t"capabilities": {}
\t}
}
`

let policies: PolicyDir
beforeEach(async () => {
  policies = await copyPolicies({ 'data/blocked.json': '{ "blocked": { "identities": {}, "capabilities": {} } }\n' })
})
afterEach(() => policies[Symbol.asyncDispose]())

const file = (): string => join(policies.dir, 'data/blocked.json')
const text = (): Promise<string> => readFile(file(), 'utf8')
const blocked = async (): Promise<unknown> => (JSON.parse(await text()) as { blocked: unknown }).blocked
const run = (...args: string[]) => crank([...args, '--policy', policies.dir])

describe('crank block', () => {
  test('writes who, when and why, and says when it is in force', async () => {
    const { code, stdout, stderr } = await run('block', STREAMING, '--reason', ' INC-12 ')
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain(`${STREAMING}: blocked on each controller that reads this folder, within a second`)
    expect(await blocked()).toEqual({
      identities: { [STREAMING]: { reason: 'INC-12', by: expect.stringContaining('@') as string, at: AT } },
      capabilities: {},
    })
    expect(await text()).toBe(`${JSON.stringify(JSON.parse(await text()), null, 2)}\n`)
  })

  test('takes each form of a certificate', async () => {
    const ca = await createTestCa('crank.local')
    const { chainPem } = await ca.issue({ uri: STREAMING })
    const pem = join(policies.dir, 'stolen.crt')
    await writeFile(pem, chainPem)
    const colons = `sha256:${'AB:'.repeat(31)}AB`
    const forms = [colons, SERIAL, pem]
    for (const form of forms) expect(await run('block', form, '--reason', 'stolen')).toMatchObject({ code: 0 })
    const listed = JSON.parse((await run('block', '--list', '-o', 'json')).stdout) as { blocks: { name: string }[] }
    expect(listed.blocks.map(({ name }) => name)).toHaveLength(3)
    expect(listed.blocks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([FINGERPRINT, SERIAL, expect.stringMatching(/^sha256:[0-9a-f]{64}$/)]),
    )
  })

  test('keeps the rest of the file, its numbers, its indentation and its rights, and does not replace a link', async () => {
    const real = join(policies.dir, 'real-blocked')
    await rename(file(), real)
    await writeFile(real, FULL, { mode: 0o640 })
    await symlink(real, file())
    const { mode } = await stat(real)
    expect(await run('block', 'invoke:hello_world', '--reason', 'broken')).toMatchObject({ code: 0 })
    expect(await text()).toContain('"spiffe://crank.local/worker/old": 1234567890123456789\n')
    expect(await text()).toContain('\n\t\t\t"invoke:hello_world": {')
    expect((await lstat(file())).isSymbolicLink()).toBe(true)
    expect((await stat(real)).mode).toBe(mode)
    expect(await run('unblock', 'invoke:hello_world', '--reason', 'repaired')).toMatchObject({ code: 0 })
    expect(await text()).toBe(FULL)
  })

  test('writes both names when two commands run at once', async () => {
    const { editBlocked } = await import('../../../src/cli/block/blocked-file.ts')
    const entry = { reason: 'both', by: 'me', at: 'now' }
    const names = ['a', 'b', 'c', 'd'].map((name) => `invoke:${name}`)
    await Promise.all(names.map((name) => editBlocked(policies.dir, { section: 'capabilities', name }, entry)))
    expect(await blocked()).toMatchObject({ capabilities: Object.fromEntries(names.map((name) => [name, entry])) })
  })

  test('does nothing twice, and asks whether an unknown name is meant', async () => {
    const typo = await run('block', `${STREAMING}g`, '--reason', 'typing error')
    expect(typo).toMatchObject({ code: 0 })
    expect(typo.stderr).toContain(`has no manifest; did you mean ${STREAMING}?`)
    const capability = await run('block', 'invoke:hello_wrld', '--reason', 'typing error')
    expect(capability.stderr).toContain('no manifest names invoke:hello_wrld; did you mean invoke:hello_world?')
    const before = await text()
    const again = await run('block', `${STREAMING}g`, '--reason', 'another one')
    expect(again).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('the file had it blocked already') as string,
    })
    expect(await text()).toBe(before)
    const wrong = await run('unblock', STREAMING, '--reason', 'over')
    expect(wrong).toMatchObject({ code: 1 })
    expect(wrong.stderr).toContain(`${STREAMING} is not blocked\n  did you mean ${STREAMING}g?`)
  })

  test('works while another file of the folder has a fault', async () => {
    await writeFile(join(policies.dir, 'data/worker_manifests.json'), '{')
    expect(await run('block', STREAMING, '--reason', 'INC-12')).toMatchObject({ code: 0 })
    expect(await blocked()).toMatchObject({ identities: { [STREAMING]: { reason: 'INC-12' } } })
  })
})

describe('invalid input', () => {
  const forms = 'give a SPIFFE ID, a capability (verb:name), or a certificate'
  const cases: Readonly<Record<string, readonly [what: string, says: string, ...more: string[]]>> = {
    'a SPIFFE ID that is none': ['spiffe://crank.local//x', 'spiffe://crank.local//x', forms],
    'a name without a form': ['streaming', '"streaming" names nothing that can be blocked', forms],
    'a capability with a capital': ['Invoke:hello', 'must be a lower-case word', forms],
    'a fingerprint that is too short': ['sha256:abcd', 'a fingerprint must have 64 hex digits', 'crank cert inspect'],
    'a file that does not exist': ['no/such.pem', 'no/such.pem: no such file', forms],
    'a file that has no certificate': ['package.json.pem', 'no such file', forms],
  }
  for (const [name, [what, ...says]] of Object.entries(cases)) {
    test(`${name} ends with 2 and changes nothing`, async () => {
      const before = await text()
      for (const command of ['block', 'unblock']) {
        const { code, stderr } = await run(command, what, '--reason', 'x')
        expect(code).toBe(2)
        for (const part of says) expect(stderr).toContain(part)
      }
      expect(await text()).toBe(before)
    })
  }

  test('a file without a certificate, no name, no reason, a reason without end', async () => {
    const empty = join(policies.dir, 'empty.pem')
    await writeFile(empty, 'nothing')
    expect((await run('block', empty, '--reason', 'x')).stderr).toContain('has no certificate (PEM)')
    expect(await run('block', '--reason', 'x')).toMatchObject({ code: 2 })
    expect((await run('block', '--reason', 'x')).stderr).toContain("missing required argument 'what'")
    for (const args of [[], ['--reason', ' ']]) {
      const { code, stderr } = await run('block', STREAMING, ...args)
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--reason is missing') as string })
    }
    expect((await run('block', STREAMING, '--reason', 'x'.repeat(513))).stderr).toContain('at most 512 are allowed')
    expect(await run('unblock', STREAMING)).toMatchObject({ code: 2 })
  })

  test('a folder without the file, and a file with a fault, are left as they are', async () => {
    await writeFile(file(), '{"blocked":{"identities":[]}}')
    const broken = await run('block', STREAMING, '--reason', 'x')
    expect(broken).toMatchObject({ code: 2 })
    expect(broken.stderr).toContain('the file is unchanged: ')
    expect(broken.stderr).toContain('correct the file first')
    const missing = await crank(['block', STREAMING, '--reason', 'x', '--policy', join(policies.dir, 'none')])
    expect(missing).toMatchObject({ code: 2 })
    expect(missing.stderr).toContain('no such file')
    expect(missing.stderr).toContain('nothing blocks it yet')
    expect(await crank(['block', '--list', '--policy', join(policies.dir, 'none')])).toMatchObject({ code: 2 })
  })

  test('a mesh needs an identity; without one the file blocks all the same', async () => {
    const env = { CRANK_NATS_URL: 'nats://127.0.0.1:1', CRANK_POLICY_DIR: policies.dir }
    const { code, stderr } = await crank(['block', STREAMING, '--reason', 'x'], { env })
    expect(code).toBe(2)
    expect(stderr).toContain('the mesh is unchanged: CRANK_NATS_URL needs an identity that NATS knows')
    expect(stderr).toContain('or SPIFFE_ENDPOINT_SOCKET')
    expect(await readFile(file(), 'utf8')).toContain(STREAMING)
    const socket = { ...env, SPIFFE_ENDPOINT_SOCKET: `unix://${policies.dir}/none.sock` }
    expect((await crank(['block', STREAMING, '--reason', 'x'], { env: socket })).stderr).toContain('none.sock')
    const odd = { ...env, CRANK_NATS_URL: 'nats://elsewhere.internal' }
    expect((await crank(['block', STREAMING, '--reason', 'x'], { env: odd })).stderr).toContain('use tls://')
  })
})
