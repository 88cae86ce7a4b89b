// The workflow for a user's repository: it parses, its actions are pinned by commit, and every command in it works here.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

type Step = { readonly name?: string; readonly uses?: string; readonly run?: string; readonly if?: string }
type Workflow = {
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>
}

const ROOT = join(import.meta.dirname, '../..')
const source = await readFile(join(ROOT, '.github/workflows/policy.yml'), 'utf8')
const workflow = parse(source) as Workflow
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
const commands = steps.flatMap(({ run }) => (run === undefined ? [] : [run]))
const [summary = ''] = commands.filter((run) => run.includes('git show'))

test('may only read', () => {
  expect(workflow.permissions).toEqual({ contents: 'read' })
})

test('pins every action by its commit, with the version beside it', () => {
  const uses = steps.flatMap((step) => (step.uses === undefined ? [] : [step.uses]))
  expect(uses.length).toBeGreaterThan(0)
  for (const action of uses) expect(source).toMatch(new RegExp(`uses: ${action} # v\\d+\\.\\d+\\.\\d+\n`))
  expect(uses.filter((action) => !/^[a-z-]+\/[a-z-]+@[0-9a-f]{40}$/.test(action))).toEqual([])
})

test('names only scripts that package.json has', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
  const named = commands.flatMap((run) => [...run.matchAll(/npm run (?:--silent )?([a-z:]+)/g)].map(([, name]) => name))
  expect(named).toHaveLength(5)
  expect(named.filter((name) => !Object.keys(scripts).includes(name ?? ''))).toEqual([])
})

test('takes no text of the event into a command', () => {
  expect(commands.filter((run) => run.includes('${{'))).toEqual([])
})

test.each(commands.filter((run) => run !== summary))('%s works here', { timeout: 300_000 }, async (run) => {
  const { code, output } = await shell(run)
  expect(code, output).toBe(0)
})

test('shows the reviewer what changes against the sample of the base branch', { timeout: 120_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crank-workflow-'))
  try {
    const env = {
      BASE_REF: 'main',
      RUNNER_TEMP: dir,
      GITHUB_STEP_SUMMARY: join(dir, 'summary.md'),
      GIT_DIR: join(dir, 'git'),
    }
    // The base branch: a repository that has nothing but the sample.
    const base = `git init -q --bare "$GIT_DIR"
      git update-index --add --cacheinfo "100644,$(git hash-object -w policies/samples/audit-sample.jsonl),policies/samples/audit-sample.jsonl"
      git update-ref refs/remotes/origin/main "$(git -c user.name=t -c user.email=t@t.test commit-tree -m base "$(git write-tree)")"`
    expect(await shell(base, env)).toMatchObject({ code: 0 })
    const { code, output } = await shell(summary, env)
    expect(code, output).toBe(0)
    expect(await readFile(env.GITHUB_STEP_SUMMARY, 'utf8')).toMatch(
      /^### Policy replay: no change in \d+ recorded decisions/,
    )
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

/** Runs a step as GitHub does, `bash -e`, with this Node. */
async function shell(run: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; output: string }> {
  const path = `${join(ROOT, 'node_modules/.bin')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`
  const child = spawn('bash', ['-e', '-c', run], {
    cwd: ROOT,
    env: { ...process.env, PATH: path, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, output: `${stdout}${stderr}` }
}
