// How long the event loop of a controller stalls when the policy folder of a large mesh changes: calls wait for that long.
import { cp, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { createLivePolicy } from '../../src/controller/live-policy/live-policy.ts'
import { POLICY_DIR } from './parties.ts'
import { median } from './statistics.ts'
import { fixed, table } from './table.ts'

/** `idleMs`: the longest stall in the same time without a reload, which is the machine's own. */
type Reload = { readonly stallMs: number; readonly idleMs: number; readonly tookMs: number }
export type ReloadRow = { readonly what: string; readonly megabytes: number; readonly rounds: readonly Reload[] }

type ReloadOptions = { readonly rounds: number; readonly quick: boolean; readonly say: (line: string) => void }

const SIZES = [
  { what: '5,000 manifests', count: 5000, padding: 0 },
  { what: '47 MB', count: 50_000, padding: 740 },
]
const LOOK_MS = 5

export async function measureReloads({ rounds, quick, say }: ReloadOptions): Promise<ReloadRow[]> {
  const rows: ReloadRow[] = []
  for (const { what, count, padding } of SIZES) {
    const dir = await mkdtemp(join(tmpdir(), 'crank-bench-reload-'))
    try {
      await cp(POLICY_DIR, dir, { recursive: true })
      const bytes = await addManifests(join(dir, 'data/worker_manifests.json'), quick ? 100 : count, padding)
      rows.push({ what, megabytes: bytes / 1e6, rounds: await reload(dir, rounds) })
      say(`a reload of ${what} is measured`)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
  return rows
}

/** The longest stall of each round, over all sizes. */
export function worstStalls(rows: readonly ReloadRow[]): number[] {
  const [first] = rows
  return (first?.rounds ?? []).map((_, at) => Math.max(...rows.map(({ rounds }) => rounds[at]?.stallMs ?? 0)))
}

export function reloadTable(rows: readonly ReloadRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ what, megabytes, rounds }) => [
    what,
    fixed(megabytes, 1),
    fixed(median(rounds.map(({ stallMs }) => stallMs)), 1),
    fixed(median(rounds.map(({ idleMs }) => idleMs)), 1),
    fixed(median(rounds.map(({ tookMs }) => tookMs)), 0),
    rounds.map(({ stallMs }) => fixed(stallMs, 1)).join(' '),
  ])
  const head = ['data', 'MB', 'stall ms', 'idle ms', 'in force after ms', 'stall of every round']
  return ['Reload of the policy: the longest stall of the event loop', ...table(head, cells), '']
}

async function reload(policyDir: string, rounds: number): Promise<Reload[]> {
  const ignore = (): void => undefined
  const policy = await createLivePolicy({
    policyDir,
    opa: undefined,
    timeoutMs: 60_000,
    env: process.env,
    record: () => Promise.resolve(),
    staleness: { maxMs: undefined, action: 'warn' },
    bundleRollback: 'refuse',
    decisionCache: 'off',
    log: { info: ignore, warn: ignore, error: ignore },
    now: Date.now,
    monotonic: () => performance.now(),
  })
  try {
    while (!policy.ready().ok) await delay(LOOK_MS)
    const results: Reload[] = []
    for (let round = 0; round < rounds; round++) {
      const before = policy.revision()
      const loop = monitorEventLoopDelay({ resolution: 1 })
      const startMs = performance.now()
      loop.enable()
      await replace(join(policyDir, 'data/enforcement.json'), round % 2 === 0 ? 'shadow' : 'enforce')
      while (policy.revision() === before) await delay(LOOK_MS)
      loop.disable()
      const [stallMs, tookMs] = [loop.max / 1e6, performance.now() - startMs]
      loop.reset()
      loop.enable()
      await delay(tookMs)
      loop.disable()
      results.push({ stallMs, tookMs, idleMs: loop.max / 1e6 })
    }
    return results
  } finally {
    await policy.close()
  }
}

async function replace(path: string, mode: string): Promise<void> {
  const enforcement = { default: mode, callers: {}, capabilities: {} }
  await writeFile(`${path}.new`, JSON.stringify({ enforcement }))
  await rename(`${path}.new`, path)
}

/** @returns the size of the file */
async function addManifests(path: string, count: number, padding: number): Promise<number> {
  const { workers, ...rest } = JSON.parse(await readFile(path, 'utf8')) as { workers: Record<string, object> }
  const [pattern] = Object.values(workers)
  for (let number = 0; number < count; number += 1) {
    const [worker_id, capability] = [`worker-many-${number}`, `invoke:many_${number}`]
    const own = {
      worker_id,
      required_capabilities: [capability],
      provided_capabilities: [],
      owner: `o${'x'.repeat(padding)}`,
    }
    workers[`spiffe://crank.local/worker/many-${number}`] = { ...pattern, ...own }
  }
  await writeFile(path, JSON.stringify({ ...rest, workers }))
  return (await stat(path)).size
}
