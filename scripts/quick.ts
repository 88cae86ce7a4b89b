// `npm run quick`: fast checks of a change. Types of everything, incrementally; format and lint of the changed files;
// the unit tests that import them, nearest first. Its last line lists what was not run.
import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createVitest, type TestSpecification } from 'vitest/node'
import { run } from './tools/run.ts'

export type Change = { readonly files: readonly string[]; readonly base: string }
type Step = { readonly name: string; readonly run: () => Promise<{ readonly ok: boolean; readonly output: string }> }

const ROOT = join(import.meta.dirname, '..')
const BIN = join(ROOT, 'node_modules/.bin')
/** Ignored by git, and removed with node_modules: its content belongs to these versions of the tools. */
const CACHE = join(ROOT, 'node_modules/.cache/crank')
/** Unit tests take half a second per file. */
const MAX_TEST_FILES = 25
const CODE = /\.(?:ts|js|mjs)$/
const FORMATTED = /\.(?:ts|js|mjs|json|md|ya?ml)$/

/** Everything that differs from the branch point: commits, the index, the work tree, and untracked files. */
export async function changedFiles(root: string): Promise<Change> {
  const git = async (...args: string[]) => run('git', args, { cwd: root })
  const points = await Promise.all(['main', 'origin/main'].map((name) => git('merge-base', 'HEAD', name)))
  const base = points.find(({ code }) => code === 0)?.stdout.trim() ?? 'HEAD'
  const known = await git('diff', '--name-only', '--no-renames', '--diff-filter=d', '-z', base)
  const unknown = await git('ls-files', '--others', '--exclude-standard', '-z')
  if (known.code !== 0) throw new Error(`git cannot say what has changed: ${known.stderr.trim()}`)
  const files = `${known.stdout}${unknown.stdout}`.split('\0').filter((name) => name !== '')
  return { files: [...new Set(files)].sort(), base }
}

/** Tests sorted by distance to the change: changed themselves, same name, same folder, others. */
export function nearestFirst(tests: readonly string[], changed: readonly string[]): string[] {
  const names = new Set(changed.map(placeOf))
  const folders = new Set(changed.map((file) => folderOf(placeOf(file))))
  const distanceOf = (file: string): number => {
    if (changed.includes(file)) return 0
    if (names.has(placeOf(file))) return 1
    return folders.has(folderOf(placeOf(file))) ? 2 : 3
  }
  return [...tests].sort((a, b) => distanceOf(a) - distanceOf(b) || a.localeCompare(b))
}

/** `controller/steps/forward` of src/controller/steps/forward.ts and of test/controller/steps/forward.test.ts. */
function placeOf(file: string): string {
  return file.replace(/^(?:src|test)\//, '').replace(/(?:\.test)?\.[a-z]+$/, '')
}

function folderOf(place: string): string {
  return place.slice(0, Math.max(place.lastIndexOf('/'), 0))
}

async function main(): Promise<number> {
  const start = performance.now()
  const { files, base } = await changedFiles(ROOT)
  process.stdout.write(`${files.length} files differ from ${base.slice(0, 12)}\n`)
  await mkdir(CACHE, { recursive: true })
  const [checks, tests] = await Promise.all([Promise.all(stepsFor(files).map(report)), runTests(files)])
  const failed = [...checks.flat(), ...(tests.ok ? [] : ['unit tests'])]
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const verdict = failed.length === 0 ? 'ok' : `failed (${failed.join(', ')})`
  process.stdout.write(`quick: ${verdict} in ${seconds} s; not run: ${notRun(files, tests).join(', ')} (npm test)\n`)
  return failed.length === 0 ? 0 : 1
}

function stepsFor(files: readonly string[]): Step[] {
  const code = files.filter((file) => CODE.test(file))
  const formatted = files.filter((file) => FORMATTED.test(file))
  const types = ['--noEmit', '--incremental', '--tsBuildInfoFile', join(CACHE, 'types.tsbuildinfo')]
  const lint = [
    '--max-warnings',
    '0',
    '--no-warn-ignored',
    '--cache',
    '--cache-location',
    join(CACHE, 'eslint'),
    ...code,
  ]
  return [
    { name: 'types', run: () => tool('tsc', types) },
    ...(code.length === 0 ? [] : [{ name: 'lint', run: () => tool('eslint', lint) }]),
    ...(formatted.length === 0
      ? []
      : [{ name: 'format', run: () => tool('prettier', ['--check', '--ignore-unknown', ...formatted]) }]),
  ]
}

async function tool(name: string, args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  const { code, stdout, stderr } = await run(join(BIN, name), args, { cwd: ROOT })
  return { ok: code === 0, output: stdout + stderr }
}

/** Prints the result of a step. Returns the step's name if it failed. */
async function report(step: Step): Promise<string[]> {
  const { ok, output } = await step.run()
  process.stdout.write(`${ok ? 'ok  ' : 'FAIL'} ${step.name}\n${ok ? '' : `${output.trim()}\n`}`)
  return ok ? [] : [step.name]
}

type Tested = { readonly ok: boolean; readonly unit: number; readonly mesh: number }

/** Runs the nearest unit tests that import a changed file. Returns the number of related files that were left out. */
async function runTests(files: readonly string[]): Promise<Tested> {
  const related = files.filter((file) => CODE.test(file)).map((file) => join(ROOT, file))
  if (related.length === 0) return { ok: true, unit: 0, mesh: 0 }
  const vitest = await createVitest({
    root: ROOT,
    watch: false,
    related,
    reporters: ['dot'],
    passWithNoTests: true,
  })
  try {
    await vitest.standalone()
    const found = await vitest.getRelevantTestSpecifications()
    const unit = found.filter(({ project }) => project.name === 'unit')
    const chosen = nearest(unit, files)
    if (chosen.length > 0) await vitest.runTestSpecifications(chosen)
    const ok = vitest.state.getCountOfFailedTests() === 0 && vitest.state.getUnhandledErrors().length === 0
    const isWhole = vitest.state.getTestModules().every((module) => module.ok())
    return { ok: ok && isWhole, unit: unit.length - chosen.length, mesh: found.length - unit.length }
  } finally {
    await vitest.close()
  }
}

function nearest(specifications: readonly TestSpecification[], files: readonly string[]): TestSpecification[] {
  const byName = new Map(specifications.map((one) => [relative(ROOT, one.moduleId), one]))
  const names = nearestFirst([...byName.keys()], files).slice(0, MAX_TEST_FILES)
  return names.flatMap((name) => byName.get(name) ?? [])
}

function notRun(files: readonly string[], { unit, mesh }: Tested): string[] {
  const isPolicy = files.some((file) => file.startsWith('policies/'))
  return [
    ...(unit === 0 ? [] : [`${unit} more related unit test files`]),
    ...(mesh === 0 ? ['mesh tests'] : [`${mesh} related mesh test files`]),
    isPolicy ? 'the policy checks, though policies changed' : 'the policy checks',
    'models',
    'coverage',
  ]
}

if (import.meta.main) process.exitCode = await main()
