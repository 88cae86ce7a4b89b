// The files of a release, made from this working tree. `npm run release` also installs the tarball and runs it.
import { createPublicKey, generateKeyPairSync, hash, verify } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeRelease } from '../../scripts/release/make-release.ts'
import { preAuthEncoding } from '../../scripts/release/provenance.ts'
import { run } from '../../scripts/tools/run.ts'
import { COMMIT } from '../../src/platform/version.ts'

const LIMIT_MS = 300_000
const ROOT = join(import.meta.dirname, '../..')
const COMMIT_OF_TEST = '0123456789abcdef0123456789abcdef01234567'
const SOURCE = {
  root: ROOT,
  commit: COMMIT_OF_TEST,
  repository: 'https://git.example/crank',
  sourceDateEpoch: 1_790_000_000,
}
const { publicKey, privateKey } = generateKeyPairSync('ed25519')

let dir: string
let first: readonly string[]
let second: readonly string[]
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crank-release-test-'))
  const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const make = async (name: string, key?: string): Promise<readonly string[]> => {
    const out = join(dir, name)
    await mkdir(out)
    return (await makeRelease(SOURCE, { out, builder: 'urn:test:builder', signingKey: key })).files
  }
  first = await make('first')
  second = await make('second', signingKey)
}, LIMIT_MS)
afterAll(() => rm(dir, { recursive: true, force: true }))

const read = (files: readonly string[], end: string): Promise<Buffer> =>
  readFile(files.find((file) => file.endsWith(end))!)
const json = async (files: readonly string[], end: string): Promise<unknown> =>
  JSON.parse((await read(files, end)).toString())
const sha256 = async (files: readonly string[], end: string): Promise<string> => hash('sha256', await read(files, end))

describe('two runs of one commit', () => {
  test.each(['.tgz', '.cdx.json'])('make the same %s', async (end) => {
    expect(await sha256(first, end)).toBe(await sha256(second, end))
  })
})

describe('the tarball', () => {
  test('has the compiled program and what it needs, no source and no test', async () => {
    const { stdout } = await run('tar', ['-tzf', first.find((file) => file.endsWith('.tgz'))!])
    const paths = stdout.trim().split('\n')
    for (const path of [
      'bin/crank.js',
      'dist/cli.js',
      'npm-shrinkwrap.json',
      'policies/policy.wasm',
      'policies/common.rego',
    ]) {
      expect(paths).toContain(`package/${path}`)
    }
    expect(paths).toContain('package/deploy/systemd/crank-controller.service')
    expect(paths.filter((path) => /\.ts$|_test\.rego$|\/test\//.test(path))).toEqual([])
  })

  test('names its commit, which a checkout does not', async () => {
    const { stdout } = await run('tar', ['-xzOf', first.find((file) => file.endsWith('.tgz'))!, 'package/package.json'])
    expect(JSON.parse(stdout)).toMatchObject({ gitHead: COMMIT_OF_TEST })
    expect(COMMIT).toBe(null)
  })
})

test('the SBOM is CycloneDX, with the packages that run and without those of development', async () => {
  const sbom = await json(first, '.cdx.json')
  expect(sbom).toMatchObject({
    bomFormat: 'CycloneDX',
    metadata: { timestamp: '2026-09-21T14:13:20.000Z', component: { name: 'crank-controller' } },
  })
  const names = (sbom as { components: { name: string }[] }).components.map(({ name }) => name)
  expect(names).toContain('fastify')
  expect(names).not.toContain('vitest')
})

test('SHA256SUMS has the digest of every other file', async () => {
  for (const files of [first, second]) {
    const lines = (await read(files, 'SHA256SUMS')).toString().trimEnd().split('\n')
    const others = files.filter((file) => !file.endsWith('SHA256SUMS'))
    const expected = others.map(async (file) => `${hash('sha256', await readFile(file))}  ${basename(file)}`)
    expect(lines).toEqual(await Promise.all(expected))
  }
})

describe('the provenance statement', () => {
  test('names what was made, from which commit, and by whom', async () => {
    expect(await json(first, '.provenance.json')).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://slsa.dev/provenance/v1',
      subject: [
        { name: expect.stringMatching(/\.tgz$/), digest: { sha256: await sha256(first, '.tgz') } },
        { name: expect.stringMatching(/\.cdx\.json$/), digest: { sha256: await sha256(first, '.cdx.json') } },
      ],
      predicate: {
        buildDefinition: {
          externalParameters: { commit: COMMIT_OF_TEST, repository: 'https://git.example/crank' },
          resolvedDependencies: [
            { uri: 'git+https://git.example/crank', digest: { gitCommit: COMMIT_OF_TEST } },
            {
              name: 'package-lock.json',
              digest: { sha256: hash('sha256', await readFile(join(ROOT, 'package-lock.json'))) },
            },
          ],
        },
        runDetails: { builder: { id: 'urn:test:builder' } },
      },
    })
  })

  test('is signed when a key is given', async () => {
    const envelope = (await json(second, '.provenance.dsse.json')) as {
      payload: string
      signatures: { keyid: string; sig: string }[]
    }
    const payload = Buffer.from(envelope.payload, 'base64')
    const [{ keyid, sig }] = envelope.signatures as [{ keyid: string; sig: string }]
    const key = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
    expect(verify(null, preAuthEncoding(payload), key, Buffer.from(sig, 'base64'))).toBe(true)
    expect(keyid).toBe(hash('sha256', publicKey.export({ type: 'spki', format: 'der' })))
    const { subject } = JSON.parse(payload.toString()) as { subject: { digest: object }[] }
    expect(subject[0]!.digest).toEqual({ sha256: await sha256(second, '.tgz') })
  })
})
