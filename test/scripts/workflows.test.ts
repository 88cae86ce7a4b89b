// Every workflow: it may only read, its actions are pinned by commit, and what it runs exists.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

type Step = { readonly uses?: string; readonly run?: string }
type Job = { readonly steps?: readonly Step[]; readonly uses?: string; readonly needs?: unknown }
type Workflow = {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, Job>>
}

const ROOT = join(import.meta.dirname, '../..')
const DIR = join(ROOT, '.github/workflows')
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
const readWorkflow = (name: string) => parse(readFileSync(join(DIR, name), 'utf8')) as Workflow

describe.each(readdirSync(DIR))('%s', (name) => {
  const source = readFileSync(join(DIR, name), 'utf8')
  const workflow = readWorkflow(name)
  const jobs = Object.values(workflow.jobs)
  const steps = jobs.flatMap((job) => job.steps ?? [])
  const commands = steps.flatMap(({ run }) => (run === undefined ? [] : [run]))

  test('may only read', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
  })

  test('pins every action by its commit, with the version beside it', () => {
    const uses = steps.flatMap((step) => (step.uses === undefined ? [] : [step.uses]))
    expect(uses.length).toBeGreaterThan(0)
    for (const action of uses) expect(source).toMatch(new RegExp(`uses: ${action} # v\\d+\\.\\d+\\.\\d+\n`))
    expect(uses.filter((action) => !/^[a-z-]+\/[a-z-]+@[0-9a-f]{40}$/.test(action))).toEqual([])
  })

  test('calls only workflows and scripts that are here', () => {
    const called = jobs.flatMap(({ uses }) => (uses === undefined ? [] : [uses]))
    expect(called.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    const named = commands.flatMap((run) =>
      [...run.matchAll(/npm run (?:--silent )?([a-z:]+)/g)].map(([, word]) => word),
    )
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((word) => !Object.keys(scripts).includes(word ?? ''))).toEqual([])
  })

  test('takes no text of the event into a command', () => {
    expect(commands.filter((run) => run.includes('${{'))).toEqual([])
  })
})

test('a pull request gets what npm test checks, as jobs that wait for nobody', () => {
  const { on, jobs } = readWorkflow('check.yml')
  expect(on).toHaveProperty('pull_request')
  expect(Object.keys(jobs)).toEqual(['format', 'lint', 'types', 'unit', 'mesh', 'policy'])
  expect(Object.values(jobs).filter(({ needs }) => needs !== undefined)).toEqual([])
  for (const part of ['format:check', 'lint', 'types', 'check:policy'])
    expect(scripts['check']).toContain(`npm run ${part}`)
})

test('the unit tests get no native tool', () => {
  const steps = readWorkflow('check.yml').jobs['unit']?.steps ?? []
  expect(steps.map(({ uses = '' }) => uses.split('@')[0])).not.toContain('actions/setup-go')
  expect(steps.map(({ run }) => run)).not.toContain('npm run setup')
})
