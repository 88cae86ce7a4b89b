// `crank manifest add`: the entry of a worker whose code is in another repository, or in another language.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { parseManifest } from '../../src/cli/manifest/entries.ts'
import { crank } from '../cli/in-process.ts'
import { copyPolicies } from '../fixtures/policy-dir.ts'
import { loadPolicyFiles } from '../../src/policy/data/policy-files.ts'

const FILE = 'data/worker_manifests.json'
const ID = 'spiffe://crank.local/worker/billing'
const BILLING = ['billing', '--provides', 'make:invoice', '--requires', 'convert:html_to_pdf']

let policies: Awaited<ReturnType<typeof copyPolicies>>
let manifest = ''
let original = ''
beforeAll(async () => {
  policies = await copyPolicies()
  manifest = join(policies.dir, FILE)
  original = await readFile(manifest, 'utf8')
})
beforeEach(() => writeFile(manifest, original))
afterAll(() => policies[Symbol.asyncDispose]())

const add = (...args: string[]) => crank(['manifest', 'add', ...args], { env: { CRANK_POLICY_DIR: policies.dir } })
const text = () => readFile(manifest, 'utf8')
const entryOf = async (id: string) => parseManifest(await text()).entries.find(({ spiffeId }) => spiffeId === id)?.value

test('writes an entry that the controller and verify take, and shows what it grants', async () => {
  const { code, stdout, stderr } = await add(...BILLING, '--owner', 'team-a')
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${manifest}: written\n` })
  expect(stdout).toBe(`worker-billing (${ID})
+ required_capabilities: convert:html_to_pdf
+ required_capabilities: make:invoice
+ provided_capabilities: make:invoice
`)
  expect(await entryOf(ID)).toEqual({
    worker_id: 'worker-billing',
    required_capabilities: ['convert:html_to_pdf', 'make:invoice'],
    provided_capabilities: ['make:invoice'],
    owner: 'team-a',
    deployed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  })
  const { dataFaults } = await loadPolicyFiles(policies.dir, Date.now())
  expect(dataFaults).toEqual([])
  const verified = await crank(['manifest', 'verify', '--manifest', manifest])
  expect(verified.code).toBe(0)
  expect(verified.stderr).toContain(`no code here: ${ID} (its entry is kept)\n`)
})

test('a second time changes nothing, and more names are added to the entry', async () => {
  await add(...BILLING)
  const before = await text()
  const again = await add(...BILLING, '--owner', 'other')
  expect([again.code, again.stdout, again.stderr]).toEqual([0, '', `${manifest} is up to date\n`])
  expect(await text()).toBe(before)
  const { stdout } = await add('billing', '--requires', 'store:zettel')
  expect(stdout).toBe(`worker-billing (${ID})\n+ required_capabilities: store:zettel\n`)
  expect(await entryOf(ID)).toMatchObject({
    required_capabilities: ['convert:html_to_pdf', 'make:invoice', 'store:zettel'],
    provided_capabilities: ['make:invoice'],
    owner: 'crank',
  })
  expect((await text()).replace(/ {4}"spiffe:\/\/crank\.local\/worker\/billing"[^}]*},\n/, '')).toBe(original)
})

test('the identity may be given, and --dry-run writes nothing', async () => {
  const args = ['billing', '--provides', 'make:invoice', '--spiffe-id', 'spiffe://other.example/svc/b', '-o', 'json']
  const { code, stdout } = await add(...args, '--dry-run')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    changed: true,
    written: false,
    spiffe_id: 'spiffe://other.example/svc/b',
    worker_id: 'worker-billing',
    entry: { required_capabilities: ['make:invoice'] },
  })
  expect(await text()).toBe(original)
})

test.each([
  ['a bad name', ['a.b', '--provides', 'a:b'], '"a.b" is not a name for a worker'],
  ['a name with its prefix', ['worker-a', '--provides', 'a:b'], 'leave out "worker-"'],
  ['no capability', ['a'], '--provides verb:name, --requires verb:name'],
  ['a bad capability', ['a', '--provides', 'A:b'], '--provides A:b: verb must be a lower-case word'],
  ['a bad identity', ['a', '--provides', 'a:b', '--spiffe-id', 'http://x'], '--spiffe-id http://x: '],
  [
    'what another worker provides',
    ['a', '--provides', 'invoke:hello_world'],
    'spiffe://crank.local/worker/hello-world already provides it',
  ],
  [
    'what nobody provides',
    ['a', '--requires', 'invoke:helo_world'],
    'no manifest provides it; did you mean invoke:hello_world?',
  ],
  [
    'an identity of another worker',
    ['a', '--provides', 'a:b', '--spiffe-id', 'spiffe://crank.local/worker/streaming'],
    'is the entry of worker-streaming, not of worker-a',
  ],
  [
    'another identity for its id',
    ['streaming', '--provides', 'a:b', '--trust-domain', 'other.example'],
    'worker-streaming already has an entry, under spiffe://crank.local/worker/streaming',
  ],
])('%s is refused, and nothing is written', async (_what, args, reason) => {
  const { code, stderr } = await add(...args)
  expect(code).toBe(2)
  expect(stderr).toContain(reason)
  expect(await text()).toBe(original)
})

test('--force writes what is unusual', async () => {
  const { code } = await add('a', '--provides', 'invoke:hello_world', '--requires', 'not:yet', '--force')
  expect(code).toBe(0)
  expect(await entryOf('spiffe://crank.local/worker/a')).toMatchObject({
    required_capabilities: ['invoke:hello_world', 'not:yet'],
  })
})
