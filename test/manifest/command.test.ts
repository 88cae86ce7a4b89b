// `crank manifest` as a user runs it, on workers in real files.
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { crank } from '../cli/in-process.ts'
import { HEAD, worker, writePackage, type WorkerPackage } from './worker-package.ts'

const MANIFEST = `{
  "workers": {
    "spiffe://crank.local/worker/email-classifier": {
      "worker_id": "worker-email-classifier",
      "required_capabilities": ["classify:email_category", "classify:spam_detection", "convert:email_to_text"],
      "provided_capabilities": ["classify:email_category", "classify:spam_detection"],
      "owner": "wildcat-home",
      "deployed_at": "2025-12-01T00:00:00Z"
    },
    "spiffe://crank.local/worker/semantic-search": {
      "worker_id": "worker-semantic-search",
      "required_capabilities": ["search:semantic_documents", "store:zettel"],
      "provided_capabilities": ["search:semantic_documents"],
      "owner": "wildcat-home",
      "deployed_at": "2025-12-01T00:00:00Z"
    },
    "spiffe://crank.local/worker/written-in-go": {
      "worker_id": "worker-written-in-go",
      "required_capabilities": ["invoke:hello_world"],
      "owner": "somebody-else",
      "deployed_at": "2025-12-02T00:00:00Z"
    }
  }
}
`
const SOURCES = {
  'workers/email_classifier.ts': `${HEAD}
const of = (name) => cap('classify:' + name, ['convert:email_to_text'])
export const classifier = defineWorker({
  id: 'worker-email-classifier', capabilities: [of('email_category'), of('spam_detection')]
})
`,
  'workers/semantic_search.ts': `${HEAD}export const search = ${worker('semantic-search', 'search:semantic_documents', ['store:zettel'])}
`,
}
let own: WorkerPackage
let WORKERS = ''
let manifest = ''

beforeAll(async () => {
  own = await writePackage(SOURCES)
  WORKERS = own.workers
  manifest = join(own.dir, 'manifest.json')
})
beforeEach(() => writeFile(manifest, MANIFEST))
afterAll(() => own[Symbol.asyncDispose]())

const generate = (...args: string[]) =>
  crank(['manifest', 'generate', '--workers', WORKERS, '--out', manifest, ...args])
const verify = (...args: string[]) =>
  crank(['manifest', 'verify', '--workers', WORKERS, '--manifest', manifest, ...args])
const diff = (...args: string[]) => crank(['manifest', 'diff', '--workers', WORKERS, '--manifest', manifest, ...args])
const replace = async (from: string, to: string) =>
  writeFile(manifest, (await readFile(manifest, 'utf8')).replaceAll(from, to))

test('the workers of this repository and their manifest agree', async () => {
  const { code, stdout, stderr } = await crank(['manifest', 'verify'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  expect(stderr).toBe('✓ 9 workers: code and manifest agree\n')
})

test('the classifier of the plan gets the lists of the plan', async () => {
  await replace(', "convert:email_to_text"]', ']')
  const { code, stdout, stderr } = await generate()
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${manifest}: written\n` })
  expect(stdout).toBe(
    'worker-email-classifier (spiffe://crank.local/worker/email-classifier)\n' +
      '+ required_capabilities: convert:email_to_text\n',
  )
  expect(await readFile(manifest, 'utf8')).toBe(MANIFEST)
})

test('generating again changes no byte', async () => {
  const before = await readFile(manifest, 'utf8')
  expect((await generate()).stderr).toBe(`${manifest} is up to date\n`)
  expect(await readFile(manifest, 'utf8')).toBe(before)
})

test('a manifest that is not there is made, with the given owner and trust domain', async () => {
  await rm(manifest)
  const before = Date.now()
  expect((await generate('--owner', 'me', '--trust-domain', 'example.org')).code).toBe(0)
  const { workers } = JSON.parse(await readFile(manifest, 'utf8'))
  const { deployed_at, ...entry } = workers['spiffe://example.org/worker/semantic-search']
  expect(entry).toEqual({
    worker_id: 'worker-semantic-search',
    required_capabilities: ['search:semantic_documents', 'store:zettel'],
    provided_capabilities: ['search:semantic_documents'],
    owner: 'me',
  })
  expect(deployed_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(Date.parse(deployed_at)).toBeGreaterThanOrEqual(before - 1000)
})

test('--dry-run shows the change and writes nothing', async () => {
  await replace('"store:zettel"', '"store:old"')
  const before = await readFile(manifest, 'utf8')
  const { code, stdout } = await generate('--dry-run')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^\+ required_capabilities: store:zettel\n- required_capabilities: store:old$/m)
  expect(await readFile(manifest, 'utf8')).toBe(before)
})

test('verify passes, and lists the workers whose code is elsewhere', async () => {
  const { code, stdout, stderr } = await verify()
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  expect(stderr).toBe(
    'no code here: spiffe://crank.local/worker/written-in-go (its entry is kept)\n✓ 2 workers: code and manifest agree\n',
  )
})

test('verify exits with 1 and names every difference', async () => {
  await replace('"store:zettel"', '"store:old"')
  await replace('email-classifier', 'mail')
  const { code, stdout } = await verify()
  expect(code).toBe(1)
  expect(stdout).toBe(
    `worker-email-classifier: has no manifest; ${WORKERS}/email_classifier.ts:4:27 defines it, its entry would be spiffe://crank.local/worker/email-classifier
worker-semantic-search: required_capabilities lacks store:zettel; see ${WORKERS}/semantic_search.ts:2:23
worker-semantic-search: required_capabilities has store:old, the code does not; see ${WORKERS}/semantic_search.ts:2:23
`,
  )
})

test('verify as JSON', async () => {
  await replace('"store:zettel"', '"store:old"')
  const { code, stdout } = await verify('-o', 'json')
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    ok: false,
    manifest,
    workers: [{ worker_id: 'worker-email-classifier' }, { worker_id: 'worker-semantic-search' }],
    differences: [
      { kind: 'missing', list: 'required_capabilities', capability: 'store:zettel' },
      { kind: 'surplus', list: 'required_capabilities', capability: 'store:old' },
    ],
    no_code_here: ['spiffe://crank.local/worker/written-in-go'],
    faults: [],
  })
})

test('diff shows the change and exits with 0', async () => {
  await replace('"store:zettel"', '"store:old"')
  const { code, stdout } = await diff()
  expect(code).toBe(0)
  expect(stdout).toBe(
    'worker-semantic-search (spiffe://crank.local/worker/semantic-search)\n' +
      '+ required_capabilities: store:zettel\n- required_capabilities: store:old\n',
  )
})

test.each(['generate', 'verify', 'diff'])(
  '%s ends with 1 where a definition cannot be read, and writes nothing',
  async (command) => {
    await using other = await writePackage({ 'workers/a.ts': `${HEAD}throw new Error('no')\ndefineWorker()` })
    const before = await readFile(manifest, 'utf8')
    const target = command === 'generate' ? '--out' : '--manifest'
    const result = await crank(['manifest', command, '--workers', other.workers, target, manifest])
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toContain(`${other.workers}/a.ts:2:7: throws while it is imported: no\n`)
    expect(await readFile(manifest, 'utf8')).toBe(before)
  },
)

test('a grant that the code does not name stays in the manifest until a person takes it out', async () => {
  await replace('"store:zettel"', '"store:zettel", "store:old"')
  const { code, stdout, stderr } = await verify()
  expect(code).toBe(1)
  expect(stdout).toContain('has store:old, the code does not')
  expect(stderr).toContain('add missing capabilities to the code')
  expect(stderr).not.toContain('generate')
})

test.each([
  {
    what: 'a folder that is not there',
    args: ['--workers', 'nowhere'],
    says: 'the sources of the workers cannot be read',
  },
  { what: 'a folder without workers', args: ['--workers', 'src/core'], says: 'no source calls defineWorker' },
  {
    what: 'a manifest that is none',
    args: ['--manifest', 'package.json'],
    says: 'package.json: the file has no "workers"',
  },
  { what: 'a bad trust domain', args: ['--trust-domain', 'A'], says: 'CRANK_TRUST_DOMAIN="A": must be a trust domain' },
])('$what ends with 2', async ({ args, says }) => {
  const { code, stderr } = await crank(['manifest', 'verify', ...args])
  expect(code).toBe(2)
  expect(stderr).toContain(says)
})

test('the script of the plan does the same', async () => {
  const script = ['scripts/generate-worker-manifest.ts', '--workers', WORKERS, '--out', manifest]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, script)
  expect({ stdout, stderr }).toEqual({ stdout: '', stderr: `${manifest} is up to date\n` })
})
