import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadPolicy } from '@open-policy-agent/opa-wasm'
import { describe, expect, test } from 'vitest'
import { StalePolicyError } from '../../../src/policy/engine/compile.ts'
import { createOpaWasm } from '../../../src/policy/engine/opa-wasm.ts'
import { loadPolicyFiles } from '../../../src/policy/data/policy-files.ts'
import type { PolicyEngine, PolicyInput } from '../../../src/core/decision.ts'
import { compilePolicies, copyPolicies, POLICY_DIR } from '../../fixtures/policy-dir.ts'
import { policyInput, STREAMING } from '../../fixtures/policy-input.ts'
import { until } from '../../fixtures/until.ts'

const input = (): PolicyInput => policyInput(STREAMING, 'stream:text_events')
const ask = (engine: PolicyEngine, question = input()) => engine.decide('capability_access', question)

async function engineFor(
  dir: string,
  clocks: { now?: () => number; cpuMs?: () => number } = {},
): Promise<PolicyEngine> {
  const files = await loadPolicyFiles(dir, Date.now())
  return await createOpaWasm({ files, timeoutMs: 5000, maxPages: 128, ...clocks })
}

/** Compiles the repository's policy with another capability_access.rego; trouble is what `body` makes of it. */
async function engineWith(body: string): Promise<PolicyEngine> {
  const rego = `package crank.capability_access\n\nimport data.crank.common\n\n${body}\n`
  await using policies = await copyPolicies({ 'capability_access.rego': rego })
  await compilePolicies(policies.dir)
  return await engineFor(policies.dir)
}

const ANSWER = `{"allow": true, "mode": "enforce", "grounds": ["declared"], "reasons": [], "exception": null,
  "policy_version": "x", "decision_id": common.decision_id}`

describe('policy.wasm', () => {
  test('needs no builtin that OPA’s wasm does not have itself', async () => {
    const policy = await loadPolicy(await readFile(join(POLICY_DIR, 'policy.wasm')))
    const { builtins, opa_json_dump: dump } = (
      policy.wasmInstance as { exports: Record<string, (at?: number) => number> }
    ).exports
    const memory = Buffer.from(policy.mem.buffer)
    const at = dump!(builtins!())
    expect(memory.toString('utf8', at, memory.indexOf(0, at))).toBe('{}')
  })

  test.each<[string, (dir: string) => Promise<void>, RegExp]>([
    [
      'was built from other Rego',
      (dir) => writeFile(join(dir, 'more.rego'), 'package crank.more\n'),
      /was not built from the Rego beside it/,
    ],
    [
      'is not the file that was built',
      (dir) => writeFile(join(dir, 'policy.wasm'), 'x'),
      /is not the file that .* describes/,
    ],
    ['is missing', (dir) => rm(join(dir, 'policy.wasm')), /cannot be read/],
    ['has no record of its sources', (dir) => rm(join(dir, 'policy.wasm.json')), /cannot be read/],
    [
      'has a record that is not JSON',
      (dir) => writeFile(join(dir, 'policy.wasm.json'), '{'),
      /was not built from the Rego/,
    ],
  ])('that %s is never served', async (_what, spoil, message) => {
    await using policies = await copyPolicies()
    await spoil(policies.dir)
    const failure = await engineFor(policies.dir).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StalePolicyError)
    expect((failure as Error).message).toMatch(message)
    expect((failure as Error).message).toContain('npm run build:policy')
  })

  test('compares 19 digits to the last one', async () => {
    const since = '"reason": "r", "owner": "o", "created_at": "2026-11-01T00:00:00Z"'
    const exceptions = `{"${STREAMING}": {"temporary_allow_all": true, "expires_after": 1795514400000000001, ${since}}}`
    await using policies = await copyPolicies({ 'data/exceptions.json': exceptions })
    const engine = await engineFor(policies.dir)
    const at = async (nowNs: bigint) => (await ask(engine, policyInput(STREAMING, 'store:zettel', nowNs))).decision
    expect([await at(1795514400000000000n), await at(1795514400000000001n)]).toEqual(['allow', 'deny'])
  })
})

describe('fails closed when', () => {
  test.each([
    ['the decision is undefined', `decision := ${ANSWER} if input.action.verb == "nothing"`],
    ['the decision is true', 'decision := true'],
    ['the rules contradict each other', `decision := ${ANSWER}\n\ndecision := false if input.action.verb`],
    ['a builtin is not there', `decision := object.union(${ANSWER}, {"mode": time.format(time.now_ns())})`],
    ['it wants more memory than it may have', `decision := {"allow": count(numbers.range(0, 200000)) > 0}`],
  ])('%s', async (_what, body) => {
    const engine = await engineWith(body)
    await expect(ask(engine)).rejects.toMatchObject({ name: 'AppError', code: 'policy_engine_error' })
  })

  test('the evaluation takes more time than the deadline leaves', async () => {
    let clock = 0
    const slow = (): number => (clock += 6000)
    const engine = await engineFor(POLICY_DIR, { now: slow, cpuMs: slow })
    await expect(ask(engine)).rejects.toMatchObject({ code: 'policy_engine_unavailable' })
  })

  test('the input is not JSON, and the next question has its answer', async () => {
    const engine = await engineFor(POLICY_DIR)
    const cyclic: Record<string, unknown> = { ...input() }
    cyclic['self'] = cyclic
    await expect(ask(engine, cyclic as unknown as PolicyInput)).rejects.toMatchObject({ code: 'policy_engine_error' })
    expect((await ask(engine)).decision).toBe('allow')
  })
})

// Busy for a good part of a second, whatever the machine.
const SLOW = `decision := ${ANSWER} if {
  ones := numbers.range(1, 300)
  count([1 | some a in ones; some b in ones; a * b == 7]) > 0
}`

/** Evaluates in a process that gets no turn for `pausedMs` once it has begun. */
async function starve(timeoutMs: number, pausedMs: number): Promise<string> {
  const rego = `package crank.capability_access\n\nimport data.crank.common\n\n${SLOW}\n`
  await using policies = await copyPolicies({ 'capability_access.rego': rego })
  await compilePolicies(policies.dir)
  const script = join(import.meta.dirname, '../../fixtures/starved-engine.ts')
  const child = spawn(process.execPath, [script, policies.dir, String(timeoutMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    if (output === '') child.kill('SIGSTOP')
    output += chunk.toString('utf8')
  })
  const ended = once(child, 'close')
  await until('it has begun', () => output !== '')
  const from = performance.now()
  await until('it has been without a turn', () => performance.now() - from > pausedMs)
  child.kill('SIGCONT')
  await ended
  return output
}

describe('on a machine that gives it no turn', () => {
  test('an answer counts whose evaluation did not take the deadline', async () => {
    expect(await starve(2000, 2500)).toBe('begin\nallow\n')
  }, 60_000)

  test('an evaluation that took the deadline fails closed', async () => {
    expect(await starve(1, 0)).toBe('begin\npolicy_engine_unavailable\n')
  }, 60_000)
})

test('a trap leaves nothing behind: the next question runs on a fresh instance', async () => {
  const engine = await engineWith(
    `decision := ${ANSWER} if input.action.verb != "trap"\n\ndecision := {"mode": time.format(time.now_ns())} if input.action.verb == "trap"`,
  )
  for (let round = 0; round < 3; round++) {
    await expect(ask(engine, policyInput(STREAMING, 'trap:x'))).rejects.toMatchObject({ code: 'policy_engine_error' })
    const answers = await Promise.all([ask(engine), ask(engine), ask(engine)])
    expect(answers.map(({ decision }) => decision)).toEqual(['allow', 'allow', 'allow'])
  }
})

test('thirty thousand decisions do not make it grow', async () => {
  const engine = await engineFor(POLICY_DIR)
  const question = input()
  for (let n = 0; n < 5000; n++) await ask(engine, question)
  const before = process.memoryUsage().arrayBuffers
  for (let n = 0; n < 30_000; n++) await ask(engine, question)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
})
