// What a call costs when a capability has 10, 1,000 or 10,000 providers: the controller must not pay for those that it does not
// call. Measured on the server that only forwards, where the difference is largest.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Pids } from './cpu.ts'
import type { LoadJob, LoadResult } from './jobs.ts'
import { mintIdentities } from './parties.ts'
import type { Script } from './processes.ts'
import { setStage, type Stage } from './stage.ts'
import { median } from './statistics.ts'
import { fixed, table } from './table.ts'

export type ProviderAmounts = { readonly warmUp: number; readonly calls: number }
type ProviderRound = LoadResult & { readonly rssMiB: number }
export type ProviderRow = { readonly providers: number; readonly rounds: readonly ProviderRound[] }

type Options = {
  readonly rounds: number
  readonly connections: number
  readonly amounts: ProviderAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Lab = Stage & {
  readonly generator: Script
  readonly targets: readonly { readonly providers: number; readonly port: number; readonly pids: Pids }[]
}

const COUNTS = [10, 1000, 10_000]

export async function measureProviders({ rounds, connections, amounts, say, stop }: Options): Promise<ProviderRow[]> {
  say('starting a server each for 10, 1,000 and 10,000 providers …')
  await using lab = await openLab(stop)
  const load = (target: Lab['targets'][number], requests: number): Promise<LoadResult> => {
    const job: LoadJob = { port: target.port, pids: target.pids, connections, ramp: connections, requests }
    return lab.unlessBroken(lab.generator.ask<LoadResult>(job))
  }
  for (const target of lab.targets) await load(target, amounts.warmUp)
  const rows = lab.targets.map((target) => ({ target, rounds: [] as ProviderRound[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) {
      const result = await load(row.target, amounts.calls)
      row.rounds.push({ ...result, rssMiB: rssMiB(row.target.pids['controller'] ?? 0) })
    }
    say(`providers, round ${round} is over`)
  }
  return rows.map(({ target: { providers }, rounds: all }) => ({ providers, rounds: all }))
}

function openLab(stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const identities = await mintIdentities(join(dir, 'pki'))
    const worker = await processes.run('worker.ts', { ...identities['worker-hello-world'], BENCH_HOST: '0.0.0.0' })
    const generator = await processes.run('generator.ts', identities['worker-streaming'])
    const targets: Lab['targets'][number][] = []
    for (const providers of COUNTS) {
      const { pid, port } = await processes.run('forward-only.ts', {
        ...identities.controller,
        BENCH_PROVIDERS: String(providers),
        BENCH_WORKER_PORT: String(worker.port),
      })
      targets.push({ providers, port, pids: { controller: pid, worker: worker.pid } })
    }
    return { generator, targets }
  })
}

/** Resident memory of a process. */
function rssMiB(pid: number): number {
  return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024
}

/** CPU of controller and worker per call, over that with 10 providers. */
export function providerRatios(rows: readonly ProviderRow[], providers: number): number[] {
  const [few] = rows
  const many = rows.find((row) => row.providers === providers)
  return (many?.rounds ?? []).flatMap((round, at) => {
    const other = few?.rounds[at]
    return other === undefined ? [] : cpuOf(round) / cpuOf(other)
  })
}

/** What the most providers add to the memory with 10. */
export function addedMiB(rows: readonly ProviderRow[]): number[] {
  return (rows.at(-1)?.rounds ?? []).map(({ rssMiB: all }, at) => all - (rows[0]?.rounds[at]?.rssMiB ?? Number.NaN))
}

function cpuOf({ cpuUs }: LoadResult): number {
  return (cpuUs['controller'] ?? Number.NaN) + (cpuUs['worker'] ?? Number.NaN)
}

export function providersTable(rows: readonly ProviderRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ providers, rounds }) => [
    String(providers),
    fixed(median(rounds.map((round) => round.requests / round.seconds)), 0),
    ...['controller', 'worker'].map((part) => fixed(median(rounds.map(({ cpuUs }) => cpuUs[part] ?? Number.NaN)), 1)),
    fixed(median(providerRatios(rows, providers)), 3),
    fixed(median(rounds.map((round) => round.rssMiB)), 0),
  ])
  const head = ['providers', 'req/s', 'CPU controller', 'CPU worker', 'both / 10', 'RSS MiB']
  return ['Providers of one capability, on the server that only forwards', ...table(head, cells), '']
}
