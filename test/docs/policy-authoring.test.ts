// The guide for policy authors: its table of reasons is the policy's own list, and its rule, test and commands work as they
// stand there.
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { copyPolicies, POLICY_DIR, type PolicyDir } from '../fixtures/policy-dir.ts'
import { guideBlocks, runCommands, type Ran } from './guide-blocks.ts'

const ROOT = join(import.meta.dirname, '../..')
const guide = await readFile(join(ROOT, 'docs/policy-authoring.md'), 'utf8')
const [rule = '', ruleTest = '', chainRule = '', chainTest = ''] = [
  ...guide.matchAll(/^```rego\n([\s\S]*?)^```$/gm),
].map(([, code = '']) => code)

let checkout: string
let policies: PolicyDir
beforeAll(async () => {
  policies = await copyPolicies()
  checkout = await mkdtemp(join(tmpdir(), 'crank-author-'))
  await symlink(policies.dir, join(checkout, 'policies'))
})
afterAll(async () => {
  await policies[Symbol.asyncDispose]()
  await rm(checkout, { recursive: true, force: true })
})

/** Runs the commands under a heading that are not for the reader's own hand. */
async function runUnder(heading: string): Promise<Ran[]> {
  const commands = guideBlocks(guide).flatMap((block) => (block.heading === heading ? block.commands : []))
  expect(commands).not.toEqual([])
  return runCommands(commands, checkout, { OPA_BIN: await findTool('opa'), CRANK_ADMIN_URL: 'http://127.0.0.1:1' })
}

test('the table of reasons is the list of policies/common.rego', async () => {
  const rego = await readFile(join(POLICY_DIR, 'common.rego'), 'utf8')
  const list = /^reason_codes := \{(.*?)^\}/ms.exec(rego)?.[1] ?? ''
  const codes = [...list.matchAll(/"([a-z_]+)"/g)].map(([, code]) => code)
  const section = /^## A decision$(.*?)^## /ms.exec(guide)?.[1] ?? ''
  const rows = [...section.matchAll(/^\| `([a-z_]+)` /gm)].map(([, code]) => code)
  expect(rows).toEqual(codes)
})

test('what is asked first has the answers that the guide begins with', async () => {
  const [canI, explain, whoCan, whatCan] = await runUnder('Ask first')
  expect(canI?.stdout).toMatch(/^no: /)
  expect(explain?.stdout).toContain('capability_not_declared')
  expect(whoCan?.stdout).toContain('email-classifier')
  expect(whatCan?.stdout).toContain('stream:text_events')
})

test('the rules pass their tests and the checks, and change the answer', async () => {
  const file = join(policies.dir, 'capability_access.rego')
  const before = await readFile(file, 'utf8')
  const line = /^_grounds contains "exception" .*\n/m
  expect(before).toMatch(line)
  await writeFile(
    file,
    before.replace(line, (found) => `${found}\n${rule}\n${chainRule}`),
  )
  await writeFile(join(policies.dir, 'search_test.rego'), ruleTest)
  await writeFile(join(policies.dir, 'on_behalf_of_test.rego'), chainTest)

  const opa = await findTool('opa')
  const rego = (await readdir(policies.dir)).filter((name) => name.endsWith('.rego'))
  const checks = [
    [opa, 'fmt', '--fail', '--diff', ...rego],
    [opa, 'check', '--strict', ...rego],
    [opa, 'test', '--run', 'search_test|on_behalf_of_test', ...rego],
    [await findTool('regal'), 'lint', '--no-color', '--config-file', join(ROOT, '.regal/config.yaml'), '.'],
  ] as const
  for (const [tool, ...args] of checks) {
    const { code, stdout, stderr } = await run(tool, args, { cwd: policies.dir })
    expect({ args, code, stdout, stderr }).toMatchObject({ code: 0 })
  }
  const [asked] = await runUnder('A rule and its test')
  expect(asked?.stdout).toContain('may use search:semantic_documents (open)')
})

test('an exception is granted, holds, and is revoked', async () => {
  const [granted, asked, , revoked] = await runUnder('Exceptions')
  expect(granted?.stderr).toContain('convert:document_to_pdf until')
  expect(asked?.stdout).toContain('(exception spiffe://crank.local/worker/streaming#convert:document_to_pdf)')
  expect(revoked?.stdout).toContain('-')
})

test('replay finds no recorded decision that the rule changes', async () => {
  const [replayed] = await runUnder('Before merging: replay')
  expect(replayed?.stdout).toContain('no change in')
})
