// The migration guide does what it says: its commands, as they stand in it, take a mesh of the nine workers from shadow to full
// enforcement, one worker after the other, and each step can be undone. The workers are the real ones.
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningWorker } from '../../src/worker/run.ts'
import { workerNamed } from '../../src/workers/registry.ts'
import { startMesh, type Answer, type Mesh } from '../fixtures/mesh.ts'
import { copyPolicies, type PolicyDir } from '../fixtures/policy-dir.ts'
import { startRealWorker } from '../fixtures/real-worker.ts'
import { until } from '../fixtures/until.ts'
import { guideBlocks, runCommands, type Block, type Ran } from './guide-blocks.ts'
import { readExamples } from '../../scripts/lab/worker-examples.ts'

const ROOT = join(import.meta.dirname, '../..')
const ADR = 'docs/decisions/0027-controller-policy-enforcement.md'
const guide = await readFile(join(ROOT, 'docs/operations/policy-migration-guide.md'), 'utf8')
const blocks = guideBlocks(guide)

/** The workers in the plan's order, each with a capability of its own and one that its manifest does not declare. */
const STEPS = [
  { names: ['hello-world'], own: 'invoke:hello_world', foreign: 'convert:document_to_pdf' },
  { names: ['streaming'], own: 'stream:text_events', foreign: 'convert:document_to_pdf' },
  { names: ['document-conversion'], own: 'convert:email_to_text', foreign: 'search:semantic_documents' },
  { names: ['email-classifier'], own: 'classify:email_category', foreign: 'search:semantic_documents' },
  { names: ['semantic-search'], own: 'search:semantic_documents', foreign: 'store:zettel' },
  { names: ['zettel-manager', 'zettel-repository'], own: 'store:zettel', foreign: 'analyze:philosophy' },
  { names: ['philosophical-analyzer'], own: 'analyze:philosophy', foreign: 'classify:image_category' },
  { names: ['image-classifier'], own: 'classify:image_category', foreign: 'invoke:hello_world' },
] as const
const NAMES = STEPS.flatMap(({ names }) => names)

const examples = await readExamples()

let checkout: string
let policies: PolicyDir
let mesh: Mesh
let workers: RunningWorker[]
let stateDir: string

beforeAll(async () => {
  policies = await copyPolicies()
  mesh = await startMesh({ env: { CRANK_POLICY_DIR: policies.dir } })
  checkout = await makeCheckout(policies.dir)
  stateDir = await mkdtemp(join(tmpdir(), 'crank-nine-'))
  workers = []
  for (const name of NAMES) {
    const definition = await workerNamed(name.replaceAll('-', '_'))!({ stateDir })
    workers.push(await startRealWorker(mesh, mesh.origin, definition))
  }
})

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()))
  await mesh.close()
  await policies[Symbol.asyncDispose]()
  await rm(checkout, { recursive: true, force: true })
  await rm(stateDir, { recursive: true, force: true })
})

/** A folder that looks as a checkout to the guide's commands. */
async function makeCheckout(policyDir: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'crank-guide-'))
  await symlink(policyDir, join(dir, 'policies'))
  await symlink(join(ROOT, 'src'), join(dir, 'src'))
  await mkdir(join(dir, 'docs/decisions'), { recursive: true })
  await cp(join(ROOT, ADR), join(dir, ADR))
  return dir
}

/** Runs a block; each command has to end as the guide says. */
function run({ commands }: Pick<Block, 'commands'>): Promise<Ran[]> {
  return runCommands(commands, checkout, { CRANK_ADMIN_URL: mesh.adminOrigin, CRANK_STATE_DIR: mesh.dir })
}

/** The blocks under the heading that begins so. */
function under(heading: string): { forward: Block[]; back: Block[] } {
  const found = blocks.filter((block) => block.heading.startsWith(heading))
  return { forward: found.filter(({ back }) => !back), back: found.filter(({ back }) => back) }
}

function call(name: string, capability: string): Promise<Answer> {
  const [verb, word] = capability.split(':')
  return mesh.route(`worker/${name}`, { verb, capability: word, payload: payloadOf(capability) })
}

/** The example of the worker's page; a zettel's id would be taken by whoever stores it first. */
function payloadOf(capability: string): object {
  const { zettel_id: _, ...payload } = (examples.find((one) => one.capability === capability)?.input ?? {}) as {
    zettel_id?: string
  }
  return payload
}

async function isRefused(name: string, capability: string): Promise<boolean> {
  const { status, body } = await call(name, capability)
  return status === 403 && (body as { error: string }).error === 'capability_access_denied'
}

/** Only shadow mode lets it pass, and the log says so. */
async function isShadowed(name: string, capability: string): Promise<boolean> {
  const { status, headers } = await call(name, capability)
  if (status !== 200 || headers['x-crank-shadow'] !== 'would_deny') return false
  const id = headers['x-decision-id']
  const record = await mesh.auditedAs((line) => line.event === 'policy_decision' && line['decision_id'] === id)
  return record['decision'] === 'would_deny' && record['mode'] === 'shadow'
}

const untilRefused = (name: string, capability: string): Promise<void> =>
  until(`${name} is refused ${capability}`, () => isRefused(name, capability))
const untilShadowed = (name: string, capability: string): Promise<void> =>
  until(`${name} passes with ${capability} in shadow`, () => isShadowed(name, capability))

describe('the migration guide', () => {
  test('has the phases and the steps of the plan, each with a way back', () => {
    const headings = [...new Set(blocks.map(({ heading }) => heading))]
    const steps = STEPS.map(({ names }, at) => `Step ${at + 1}: ${at === 0 ? 'hello_world' : names.join(' and ')}`)
    expect(headings).toEqual([
      'Phase 0: manifests',
      'Phase 1: shadow for all',
      ...steps,
      'Phase 3: full enforcement',
      'Last step: the decision is accepted',
    ])
    for (const heading of headings.slice(1, -1)) expect([heading, under(heading).back.length]).toEqual([heading, 1])
  })

  test('names only metrics that the controller has', async () => {
    const { text } = await mesh.admin('/metrics')
    const named = [...new Set(guide.match(/\bcontroller_[a-z_]+/g))]
    expect(named).toContain('controller_policy_would_denials_total')
    expect(named.filter((name) => !text.includes(name.replace(/_total$/, '')))).toEqual([])
  })

  test('phase 0 finds a policy folder in order; everything is enforced', async () => {
    for (const block of under('Phase 0').forward) await run(block)
    expect(await isRefused('hello-world', 'convert:document_to_pdf')).toBe(true)
  })

  test('phase 1 lets every would-be denial pass, and records it', async () => {
    const { forward, back } = under('Phase 1')
    const [shadow, look] = forward
    // Back and forth: what is run last is the phase itself.
    await run(shadow!)
    await untilShadowed('hello-world', 'convert:document_to_pdf')
    await run(back[0]!)
    await untilRefused('hello-world', 'convert:document_to_pdf')
    await run(shadow!)
    await untilShadowed('hello-world', 'convert:document_to_pdf')
    for (const { names, own, foreign } of STEPS) {
      expect([foreign, await isShadowed(names[0], foreign)]).toEqual([foreign, true])
      expect((await call(names.at(-1)!, own)).headers).not.toHaveProperty('x-crank-shadow')
    }
    const [report, refusals] = await run(look!)
    expect(report?.stdout).toMatch(/^convert:document_to_pdf .*not ready: \d+ calls would be denied$/m)
    expect(report?.stdout).toContain(
      'would deny 1x spiffe://crank.local/worker/image-classifier: capability_not_declared',
    )
    expect(refusals?.stdout).toContain('worker/image-classifier')
  })

  for (const [at, { names, own, foreign }] of STEPS.entries()) {
    test(`step ${at + 1} enforces ${names.join(' and ')}, and can be undone`, async () => {
      const { forward, back } = under(`Step ${at + 1}:`)
      const [name] = names
      await run(forward[0]!)
      await untilRefused(name, foreign)
      await untilRefused('newcomer', own)
      // The last one calls what the first step has enforced.
      for (const later of STEPS.slice(at + 1, -1)) {
        expect([later.foreign, await isShadowed(later.names[0], later.foreign)]).toEqual([later.foreign, true])
      }
      expect((await call(names.at(-1)!, own)).status).toBe(200)

      await run(back[0]!)
      await untilShadowed('newcomer', own)
      const edits = forward[0]!.commands.filter(({ text }) => text.startsWith('sed '))
      await run({ commands: edits })
      await untilRefused('newcomer', own)
      expect(await isRefused(name, foreign)).toBe(true)
    })
  }

  test('phase 3 refuses what no manifest knows, and the report has nothing left', async () => {
    const { forward, back } = under('Phase 3')
    const [before, flip, clean] = forward
    await run(before!)
    await run(flip!)
    await untilRefused('newcomer', 'sing:aria')
    await run(back[0]!)
    await until('it is let through to be not found', async () => (await call('newcomer', 'sing:aria')).status === 404)
    const [, report] = await run(flip!)
    await untilRefused('newcomer', 'sing:aria')
    expect(report?.stderr).toContain('every capability is ready or already enforced')
    await run(clean!)
    await mesh.auditedAs((line) => line.event === 'policy_changed')
    for (const { names, own, foreign } of STEPS) {
      expect([foreign, await isRefused(names[0], foreign)]).toEqual([foreign, true])
      expect((await call(names.at(-1)!, own)).status).toBe(200)
    }
    expect((await mesh.admin('/metrics')).text).toMatch(/^controller_policy_shadow_entries\{kind="default"\} 0$/m)
  })

  test('the last step accepts ADR-0027', async () => {
    for (const block of under('Last step').forward) await run(block)
    expect(await readFile(join(checkout, ADR), 'utf8')).toMatch(/^Status: Accepted$/m)
  })
})
