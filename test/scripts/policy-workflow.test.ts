// The policy workflow of a user's repository: every command in it works here. workflows.test.ts looks at its form.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

type Step = { readonly run?: string }
type Workflow = { readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>> }

const ROOT = join(import.meta.dirname, '../..')
const workflow = parse(await readFile(join(ROOT, '.github/workflows/policy.yml'), 'utf8')) as Workflow
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
const commands = steps.flatMap(({ run }) => (run === undefined ? [] : [run]))
const [summary = ''] = commands.filter((run) => run.includes('git show'))

// `npm run check` runs this one itself, as its own step.
const ELSEWHERE = 'npm run check:policy'

test('has the policy checks, which are a step of npm test', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: { check: string } }
  expect(commands).toContain(ELSEWHERE)
  expect(scripts.check).toContain(ELSEWHERE)
})

test.each(commands.filter((run) => run !== summary && run !== ELSEWHERE))(
  '%s works here',
  { timeout: 300_000 },
  async (run) => {
    const { code, output } = await shell(run)
    expect(code, output).toBe(0)
  },
)

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
