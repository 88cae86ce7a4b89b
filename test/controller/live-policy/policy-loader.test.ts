// Policy files that are read in a thread: they come into force as those that are read here, whatever happens to the thread leaves
// the files in force, and calls go on meanwhile.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createBlockFollow } from '../../../src/controller/live-policy/block-follow.ts'
import { loadPolicyFolder, type PolicyFolder } from '../../../src/controller/live-policy/policy-folder.ts'
import { createPolicyLoader, type PolicyLoader } from '../../../src/controller/live-policy/policy-loader.ts'
import { createTransition, type PolicyChange } from '../../../src/controller/live-policy/transition.ts'
import { loadPolicyFiles, withBlocked } from '../../../src/policy/data/policy-files.ts'
import type { InForce } from '../../../src/policy/engine/engine-kind.ts'
import { createOpaWasm } from '../../../src/policy/engine/opa-wasm.ts'
import { addManifests } from '../../fixtures/large-policy.ts'
import { blockedJson, observePolicy, replaceFile } from '../../fixtures/live-policy.ts'
import { policyInput } from '../../fixtures/policy-input.ts'
import { copyPolicies, type PolicyDir } from '../../fixtures/policy-dir.ts'
import { until } from '../../fixtures/until.ts'

const NOW_MS = 1_796_083_200_000
const BLOCKED = 'data/blocked.json'
const SOMEBODY = 'spiffe://crank.local/worker/many-7'
const IN_A_THREAD = { threadFromBytes: 0 }

let policies: PolicyDir
const frees: (() => Promise<unknown>)[] = []
beforeEach(async () => {
  policies = await copyPolicies()
  await addManifests(policies.dir, 20)
})
afterEach(async () => {
  for (const free of frees.splice(0).reverse()) await free()
  await policies[Symbol.asyncDispose]()
})

async function loaderOf({ entry, loadMs = 60_000 }: { entry?: URL; loadMs?: number } = {}): Promise<PolicyLoader> {
  const folder = await loadPolicyFolder(policies.dir, NOW_MS)
  const loader = createPolicyLoader({
    dir: policies.dir,
    engine: true,
    env: process.env,
    now: () => NOW_MS,
    current: () => folder,
    during: (work) => work(),
    limits: { ...IN_A_THREAD, loadMs },
    ...(entry && { entry }),
  })
  frees.push(loader.close)
  return loader
}

async function live(options: Parameters<typeof observePolicy>[0] = {}) {
  const observed = await observePolicy({ policyDir: policies.dir, limits: IN_A_THREAD, ...options })
  frees.push(() => observed[Symbol.asyncDispose]())
  return observed
}

/** A thread that runs this code instead of reading files. */
function threadOf(code: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`)
}

test('a folder that was read in a thread is the same as one that was read here', async () => {
  const loader = await loaderOf()
  await replaceFile(policies.dir, BLOCKED, blockedJson(SOMEBODY))
  const [there, here] = [await loader.load(), await loadPolicyFolder(policies.dir, NOW_MS)]
  expect({ ...there.files }).toEqual({ ...here.files })
  expect(there.hashes).toEqual(here.hashes)
  expect(there.signature).toBe(here.signature)
  expect(Buffer.from(there.data ?? []).toString()).toBe(here.files.dataText)
  expect(there.changed).toMatchObject({ files: [BLOCKED], blocked_identities: { added: 1, names: [`+${SOMEBODY}`] } })
  // A copy with another block list keeps the text, too.
  const blocked = { ...here.files.blocked, identities: new Set<string>() }
  expect({ ...withBlocked(there.files, blocked) }).toEqual({ ...here.files, blocked })
})

test('an engine with the memory that the thread built decides as one that parsed the data', async () => {
  const { files, built } = await (await loaderOf()).load()
  const theirs = await createOpaWasm({ files, timeoutMs: 20_000, ...built })
  const ours = await createOpaWasm({ files, timeoutMs: 20_000 })
  for (const [who, capability] of [
    ['worker/many-7', 'invoke:many_7'],
    ['worker/many-7', 'invoke:many_8'],
    ['worker/streaming', 'invoke:hello_world'],
    ['worker/stranger', `invoke:${'x'.repeat(200_000)}`],
  ] as const) {
    // Twice: an evaluation leaves nothing behind in the copied memory.
    for (let time = 0; time < 2; time += 1) {
      const input = policyInput(`spiffe://crank.local/${who}`, capability)
      const decisions = await Promise.all(
        [theirs, ours].map((engine) =>
          engine.decide('capability_access', input).catch((error: unknown) => String(error)),
        ),
      )
      expect(decisions[0]).toEqual(decisions[1])
    }
  }
})

test('a change comes into force, and calls that are made meanwhile each get a whole decision', async () => {
  const { policy, decide, changes } = await live()
  const first = policy.revision()
  const seen = new Map<string | undefined, Set<string>>()
  const state = { isOver: false }
  const calling = (async () => {
    while (!state.isOver) {
      const { revision, decision } = await decide(SOMEBODY, 'invoke:many_7')
      seen.set(revision, (seen.get(revision) ?? new Set()).add(decision))
      await new Promise(setImmediate)
    }
  })()
  await replaceFile(policies.dir, 'data/enforcement.json', '{ "enforcement": { "default": "shadow" } }')
  await until('the change is in force', () => policy.revision() !== first)
  await until('it decides', () => seen.has(policy.revision()))
  state.isOver = true
  await calling
  expect([...seen.keys()]).toEqual([first, policy.revision()])
  expect([...seen.values()].map((decisions) => [...decisions])).toEqual([['allow'], ['allow']])
  expect(changes.filter(({ scope }) => scope === 'policy')).toMatchObject([
    { changed: { files: ['data/enforcement.json'], enforcement: { changed: 1, names: ['~default'] } } },
  ])
})

test('of two quick changes the last one is in force', async () => {
  const { policy, faults } = await live()
  await replaceFile(policies.dir, BLOCKED, blockedJson('spiffe://crank.local/worker/one'))
  await new Promise((resolve) => setTimeout(resolve, 250))
  await replaceFile(policies.dir, BLOCKED, blockedJson('spiffe://crank.local/worker/two'))
  const { revision } = await loadPolicyFiles(policies.dir, NOW_MS)
  await until('the last change is in force', () => policy.revision() === revision)
  expect([...policy.blocked().identities]).toEqual(['spiffe://crank.local/worker/two'])
  expect(faults.filter((fault) => !fault.includes('was written to'))).toEqual([])
})

test('a fault that the thread finds is reported with its file and place, and the old policy decides', async () => {
  const { policy, decide, untilEvent, events } = await live()
  const revision = policy.revision()
  await replaceFile(policies.dir, 'data/enforcement.json', '{ "enforcement": { "default": "sometimes" } }')
  await untilEvent('policy_change_refused')
  expect(events.find(({ event }) => event === 'policy_change_refused')).toMatchObject({
    reason: expect.stringMatching(/enforcement\.json: /) as string,
  })
  expect(policy.dataFaults()).toMatchObject([{ file: 'enforcement.json' }])
  expect(policy.revision()).toBe(revision)
  expect(await decide(SOMEBODY, 'invoke:many_7')).toMatchObject({ decision: 'allow' })
})

const hang = 'setInterval(() => undefined, 1000)'
const answering = (reply: string): string => `
  import { parentPort } from 'node:worker_threads'
  parentPort.on('message', ({ id }) => parentPort.postMessage({ kind: 'reply', id, reply: ${reply} }))`
test.each([
  ['throws', 'throw new Error("broken")', 60_000, /a thread failed/],
  ['ends', 'process.exit(0)', 60_000, /a thread ended/],
  ['never answers', hang, 300, /did not answer within 300 ms/],
  ['answers something else', answering('{ kind: "loaded" }'), 60_000, /./],
  [
    'fails in its own way',
    answering('{ kind: "failed", name: "RangeError", message: "too large", faults: [] }'),
    60_000,
    /^too large/,
  ],
] as const)(
  'a thread that %s is an error, and the next attempt has a thread of its own',
  async (_what, code, loadMs, says) => {
    const loader = await loaderOf({ entry: threadOf(code), loadMs })
    for (let attempt = 0; attempt < 2; attempt += 1) await expect(loader.load()).rejects.toThrow(says)
  },
)

test('closing ends the thread at once', async () => {
  const loader = await loaderOf({ entry: threadOf(hang) })
  const loading = expect(loader.load()).rejects.toThrow('closed')
  await new Promise(setImmediate)
  await loader.close()
  await loading
  await expect(loader.load()).rejects.toThrow('closed')
})

test('a block list comes into force while a thread is still at work, as often as it changes', async () => {
  const files = await loadPolicyFiles(policies.dir, NOW_MS)
  const initial = { files, revision: files.revision } as InForce
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const recorded: PolicyChange[] = []
  const record = (change: PolicyChange): Promise<void> => Promise.resolve(void recorded.push(change))
  const transition = createTransition({ initial, record, log, now: Date.now })
  const { during } = createBlockFollow({ dir: policies.dir, transition, log })
  const working = Promise.withResolvers<PolicyFolder>()
  const loading = during(() => working.promise)
  for (const who of ['spiffe://crank.local/worker/one', 'spiffe://crank.local/worker/two']) {
    await replaceFile(policies.dir, BLOCKED, blockedJson(who))
    await until(`${who} is blocked`, () => transition.current().files.blocked.identities.has(who))
  }
  working.reject(new Error('over'))
  await expect(loading).rejects.toThrow('over')
  expect(recorded.map(({ scope }) => scope)).toEqual(['blocked', 'blocked'])
})

test('the event loop waits for a small part of what the same change takes in its own thread', async () => {
  await addManifests(policies.dir, 5000, 1500)
  const { policy } = await live({ readyLimitMs: 60_000 })
  const first = policy.revision()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const path = join(policies.dir, 'data/enforcement.json')
  await writeFile(path, (await readFile(path, 'utf8')).replace('"enforce"', '"shadow"'))
  await until('the change is in force', () => policy.revision() !== first, 60_000)
  delay.disable()
  const startMs = performance.now()
  const { files } = await loadPolicyFolder(policies.dir, NOW_MS)
  await createOpaWasm({ files, timeoutMs: 20_000 })
  const hereMs = performance.now() - startMs
  const stallMs = delay.max / 1e6
  process.stdout.write(
    `longest stall ${stallMs.toFixed(1)} ms; in the event loop's own thread ${hereMs.toFixed(0)} ms\n`,
  )
  expect(stallMs).toBeLessThan(hereMs)
})
