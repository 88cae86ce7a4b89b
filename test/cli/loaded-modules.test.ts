// What a command loads before it answers: a few dozen files load in the time of one schema compiler. The limits of the figures in
// docs/performance.md are about these commands.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMesh, STREAMING, type Mesh } from '../fixtures/mesh.ts'
import { crank, type Finished } from './crank.ts'

const HOOK = new URL('../fixtures/report-modules.mjs', import.meta.url).href
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** The parser of the command line; all else takes longer to load than an answer takes. */
const LIGHT = ['commander', '@commander-js/extra-typings']

let mesh: Mesh
let denied = ''
beforeAll(async () => {
  mesh = await startMesh()
  const answer = await mesh.route(STREAMING, { verb: 'convert', capability: 'document_to_pdf' })
  denied = String(answer.headers['x-decision-id'])
  await mesh.auditedAs((line) => line['decision_id'] === denied)
}, 60_000)
afterAll(() => mesh.close())

type Loaded = Finished & { readonly packages: readonly string[]; readonly files: readonly string[] }

async function loadedBy(...args: string[]): Promise<Loaded> {
  const file = join(mesh.dir, 'modules')
  const env = { CRANK_STATE_DIR: mesh.dir, CRANK_ADMIN_URL: mesh.adminOrigin, MODULES_FILE: file }
  const finished = await crank(args, { env, nodeArgs: ['--import', HOOK] })
  const paths = readFileSync(file, 'utf8')
    .split('\n')
    .filter((url) => url.startsWith('file:'))
    .map((url) => fileURLToPath(url).slice(ROOT.length))
  const inPackage = (path: string): string | undefined => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
  return {
    ...finished,
    packages: [...new Set(paths.map(inPackage).filter((name) => name !== undefined))].sort(),
    files: paths.filter((path) => inPackage(path) === undefined),
  }
}

test('explain of a decision, with what the controller decides today, loads no policy engine and no package', async () => {
  const { code, stdout, packages, files } = await loadedBy('explain', denied)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^ {2}today +deny, revision/m)
  expect(stdout).toContain('what would change it')
  expect(packages).toEqual([...LIGHT].sort())
  expect(files).toContain('src/cli/policy-ask/explain.ts')
  expect(files.filter((file) => file.startsWith('src/policy/engine/'))).toEqual([])
})

test.each([
  ['audit', 'search', '--decision'],
  ['audit', 'get'],
])('%s %s loads no package', async (...args) => {
  const { code, stdout, packages } = await loadedBy(...args, denied)
  expect(code).toBe(0)
  expect(stdout).toContain('convert:document_to_pdf')
  expect(packages).toEqual([...LIGHT].sort())
})

test('a command loads the options of no other', async () => {
  const { code, files } = await loadedBy('audit', '--help')
  expect(code).toBe(0)
  expect(files.filter((file) => file.startsWith('src/cli/commands/'))).toEqual(['src/cli/commands/audit.ts'])
})

test('with a folder, explain asks the policy engine itself', async () => {
  const { stdout, files } = await loadedBy('explain', denied, '--policy', join(ROOT, 'policies'))
  expect(stdout).toMatch(/^ {2}today +deny, revision/m)
  expect(files).toContain('src/policy/engine/evaluate-files.ts')
})
