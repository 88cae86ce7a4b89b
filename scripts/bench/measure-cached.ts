// The decision cache: 1,000 callers with 15 capabilities each, on controllers with the cache off and on, and on the peer, which
// has none. What is repeated depends on how the callers come, so the share of hits is part of the result.
import { join } from 'node:path'
import { callerNames, CAPABILITIES, mintCallers } from './callers.ts'
import { cpuOfAll, type Pids } from './cpu.ts'
import { TURN_CALLS, type LoadJob, type LoadResult } from './jobs.ts'
import { startOpa } from './lab.ts'
import { copyWithCallers } from './manifests.ts'
import { devCa, mintIdentities } from './parties.ts'
import type { Nginx } from './peers/find-nginx.ts'
import type { Script } from './processes.ts'
import type { Row } from './rows.ts'
import { setStage, type Stage } from './stage.ts'
import { startServer, type Place } from './start-server.ts'
import { median } from './statistics.ts'
import { fixed, spread, table } from './table.ts'

export type CachedAmounts = { readonly callers: number; readonly warmUp: number; readonly calls: number }
/** `hits`: the part of the calls whose decision was a repeated one; undefined where there is no cache. */
type CachedRound = LoadResult & { readonly hits?: number }
export type CachedRow = { readonly name: Name; readonly callers: number; readonly rounds: readonly CachedRound[] }

type Name = 'forward' | 'full' | 'full-cached' | 'sidecar' | 'sidecar-cached' | 'nginx-opa'
type Options = {
  readonly nginx: Nginx
  readonly rounds: number
  readonly connections: number
  readonly amounts: CachedAmounts
  readonly set: NodeJS.ProcessEnv
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Target = { readonly name: Name; readonly port: number; readonly pids: Pids; readonly adminUrl?: string }
type Lab = Stage & { readonly generator: Script; readonly targets: readonly Target[] }

const ON = { CRANK_DECISION_CACHE: 'on' }
const SIDECAR = { opa: true } as const
const SERVERS: readonly (Row & { readonly name: Name })[] = [
  { name: 'forward', what: '', needs: {}, server: 'forward' },
  { name: 'full', what: '', needs: {}, env: {} },
  { name: 'full-cached', what: '', needs: {}, env: ON },
  { name: 'sidecar', what: '', needs: SIDECAR, env: {} },
  { name: 'sidecar-cached', what: '', needs: SIDECAR, env: ON },
  { name: 'nginx-opa', what: '', needs: {}, server: 'nginx', policy: 'current' },
]
/** A peer compiles nothing. */
const WARM_UP_PEER = 3000

export async function measureCached(options: Options): Promise<CachedRow[]> {
  const { rounds, connections, amounts, say, stop } = options
  say(`starting ${SERVERS.length} servers for ${amounts.callers} callers …`)
  await using lab = await openLab(options, stop)
  const load = ({ port, pids }: Target, requests: number): Promise<LoadResult> => {
    const job: LoadJob = { port, pids, connections, ramp: connections, requests }
    return lab.unlessBroken(lab.generator.ask<LoadResult>(job))
  }
  for (const target of lab.targets) {
    await load(target, target.name === 'nginx-opa' ? Math.min(WARM_UP_PEER, amounts.warmUp) : amounts.warmUp)
  }
  const rows = lab.targets.map((target) => ({ target, rounds: [] as CachedRound[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const { target, rounds: done } of rows) {
      const before = await hitsOf(target)
      const result = await load(target, amounts.calls)
      const after = await hitsOf(target)
      const calls = amounts.calls + connections
      done.push({ ...result, ...(after !== undefined && { hits: (after - (before ?? 0)) / calls }) })
    }
    say(`cached, round ${round} of ${rounds} is over`)
  }
  return rows.map(({ target: { name }, rounds: all }) => ({ name, callers: amounts.callers, rounds: all }))
}

function openLab({ nginx, amounts, set }: Options, stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const names = callerNames(amounts.callers)
    const callersFile = join(dir, 'callers.json')
    await mintCallers(callersFile, await devCa(join(dir, 'pki')), names)
    const policyDir = join(dir, 'policies')
    await copyWithCallers(policyDir, names, CAPABILITIES)
    const worker = await processes.run('worker.ts', identities['worker-hello-world'])
    const generator = await processes.run('caller-generator.ts', {
      ...identities.controller,
      BENCH_CALLERS: callersFile,
    })
    const opa = await startOpa(processes, policyDir)
    const profile = { cpuProf: undefined, perf: false }
    const mesh = { policyDir, capabilities: CAPABILITIES }
    const place: Place = { processes, dir, identities, workerPort: worker.port, profile, set, nginx, mesh }
    const targets: Target[] = []
    for (const row of SERVERS) {
      const { pids, ...server } = await startServer(place, row, row.needs.opa === true ? { OPA_URL: opa.url } : {})
      const all = { ...pids, worker: worker.pid, ...(row.needs.opa === true && { opa: opa.pid }) }
      targets.push({ name: row.name, ...server, pids: all })
    }
    return { generator, targets }
  })
}

/** Repeated decisions so far; undefined: there is no cache. */
async function hitsOf({ adminUrl }: Target): Promise<number | undefined> {
  if (adminUrl === undefined) return undefined
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
  const hits = /^controller_decision_cache_total\{[^}]*result="hit"[^}]*\} (\d+)/m.exec(metrics)?.[1]
  return hits === undefined ? undefined : Number(hits)
}

/** The CPU of all processes of one row over that of another, of each round. */
export function cachedRatios(rows: readonly CachedRow[], a: Name, b: Name, of = cpuOfAllIn): number[] {
  const [one, other] = [a, b].map((name) => rows.find((row) => row.name === name)?.rounds ?? [])
  return (one ?? []).flatMap((round, at) => {
    const against = other?.[at]
    return against === undefined ? [] : of(round) / of(against)
  })
}

function cpuOfAllIn({ cpuUs }: LoadResult): number {
  return cpuOfAll(cpuUs)
}

function cpuOfController({ cpuUs }: LoadResult): number {
  return cpuUs['controller'] ?? Number.NaN
}

const HEAD = ['row', 'calls/s', 'hits', 'CPU all', 'CPU controller', 'CPU opa', 'all / peer', 'controller / forward']

/** As a table. */
export function cachedTable(rows: readonly CachedRow[]): string[] {
  const [first] = rows
  if (first === undefined) return []
  const cells = rows.map(({ name, rounds }) => [
    name,
    fixed(median(rounds.map(({ requests, seconds }) => requests / seconds)), 0),
    `${fixed(100 * median(rounds.map(({ hits = Number.NaN }) => hits)), 1)} %`.replace('- %', '-'),
    spread(rounds.map(cpuOfAllIn), 1),
    spread(rounds.map(cpuOfController), 1),
    fixed(median(rounds.map(({ cpuUs }) => cpuUs['opa'] ?? Number.NaN)), 1),
    fixed(median(cachedRatios(rows, name, 'nginx-opa')), 2),
    fixed(median(cachedRatios(rows, name, 'forward', cpuOfController)), 2),
  ])
  return [
    `Decision cache: ${first.callers} callers x ${CAPABILITIES.length} capabilities, each makes ${TURN_CALLS} calls in a row, handshakes included`,
    ...table(HEAD, cells),
    '',
  ]
}
