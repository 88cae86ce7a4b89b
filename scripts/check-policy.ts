// Every check of the policies: format, strict check, tests with full coverage, lint, data against its schemas,
// generated schemas and policy.wasm against their sources, and manifests against the code of the workers.
// All steps run even after a failure, so that one run shows every fault.
import { join } from 'node:path'
import { describeFault } from '../src/policy/data/data-schema.ts'
import { policyFileNames } from '../src/policy/data/folder-names.ts'
import { loadPolicyFiles } from '../src/policy/data/policy-files.ts'
import { findStalePolicy } from './build-policy.ts'
import { findStaleSchemas } from './generate-policy-schemas.ts'
import { findTool } from './tools/native-tools.ts'
import { run } from './tools/run.ts'

type Step = { readonly name: string; readonly check: () => Promise<StepResult> }
type StepResult = { readonly ok: boolean; readonly output: string }
type Coverage = { readonly files: Readonly<Record<string, FileCoverage>> }
type FileCoverage = { readonly coverage?: number; readonly not_covered?: readonly { start: { row: number } }[] }

const ROOT = join(import.meta.dirname, '..')
// By file name, never by folder: OPA would load the data below the folder's name, at data.data.
const DATA = [
  'policies/data/worker_manifests.json',
  'policies/data/enforcement.json',
  'policies/data/blocked.json',
  'exceptions:policies/data/exceptions.json',
]
/** Timeout per test. A busy machine exceeds OPA's default of 5 s; a hanging test still ends. */
const TEST_TIMEOUT = ['--timeout', '10m']

/** The lines that the tests do not cover, outside of test files; empty for full coverage. */
export function uncovered(json: string): string[] {
  const { files } = JSON.parse(json) as Coverage
  return Object.entries(files)
    .filter(([name, file]) => !name.endsWith('_test.rego') && file.coverage !== 100)
    .map(
      ([name, file]) =>
        `${name}: line ${(file.not_covered ?? []).map(({ start }) => start.row).join(', ')} not covered`,
    )
}

async function main(): Promise<number> {
  const failed: string[] = []
  for (const { name, check } of await steps()) {
    const { ok, output } = await check()
    process.stdout.write(`${ok ? 'ok  ' : 'FAIL'} ${name}\n${ok ? '' : `${output.trim()}\n`}`)
    if (!ok) failed.push(name)
  }
  if (failed.length === 0) return 0
  process.stderr.write(`policy check failed: ${failed.join(', ')}\n`)
  return 1
}

async function steps(): Promise<Step[]> {
  const opa = await findTool('opa')
  const regal = await findTool('regal')
  const names = await policyFileNames(join(ROOT, 'policies'), (name) => name.endsWith('.rego'))
  const rego = names.map((name) => `policies/${name}`)
  return [
    { name: 'opa fmt --fail', check: () => command(opa, ['fmt', '--fail', '--diff', ...rego]) },
    { name: 'opa check --strict', check: () => command(opa, ['check', '--strict', ...rego]) },
    { name: 'opa test', check: () => command(opa, ['test', ...TEST_TIMEOUT, ...rego, ...DATA]) },
    { name: 'opa test --coverage (100 %)', check: () => coverage(opa, [...rego, ...DATA]) },
    { name: 'regal lint', check: () => command(regal, ['lint', '--no-color', 'policies']) },
    { name: 'policy data', check: policyData },
    { name: 'generate-policy-schemas --check', check: schemas },
    { name: 'build-policy --check', check: () => wasm(opa) },
    { name: 'crank manifest verify', check: manifests },
  ]
}

async function command(file: string, args: readonly string[]): Promise<StepResult> {
  const { code, stdout, stderr } = await run(file, args, { cwd: ROOT })
  return { ok: code === 0, output: stdout + stderr }
}

async function coverage(opa: string, files: readonly string[]): Promise<StepResult> {
  const { code, stdout, stderr } = await run(opa, ['test', '--coverage', ...TEST_TIMEOUT, ...files], { cwd: ROOT })
  if (code !== 0) return { ok: false, output: stderr || 'not measured: a test failed' }
  const missing = uncovered(stdout)
  return { ok: missing.length === 0, output: missing.join('\n') }
}

async function wasm(opa: string): Promise<StepResult> {
  const fault = await findStalePolicy(join(ROOT, 'policies'), opa)
  return { ok: fault === undefined, output: fault ?? '' }
}

/** Loads the data files as the controller does; here an exception without effect is also a fault. */
async function policyData(): Promise<StepResult> {
  try {
    const { dataFaults } = await loadPolicyFiles(join(ROOT, 'policies'), Date.now())
    return { ok: dataFaults.length === 0, output: dataFaults.map(describeFault).join('\n') }
  } catch (cause: unknown) {
    return { ok: false, output: cause instanceof Error ? cause.message : String(cause) }
  }
}

async function schemas(): Promise<StepResult> {
  const stale = await findStaleSchemas()
  return { ok: stale.length === 0, output: `${stale.join('\n')}\nrun node scripts/generate-policy-schemas.ts` }
}

// Loaded here: only this step needs it.
async function manifests(): Promise<StepResult> {
  const { inspect, linesOf } = await import('../src/cli/manifest/run.ts')
  const manifest = join(ROOT, 'policies/data/worker_manifests.json')
  const lines = linesOf(await inspect({ workers: join(ROOT, 'src/workers'), manifest }))
  return { ok: lines.length === 0, output: lines.join('\n') }
}

if (import.meta.main) {
  process.exitCode = await main().catch((cause: unknown) => {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
    return 1
  })
}
