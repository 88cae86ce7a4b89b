// The order of a run: warm up everything, then measure all rows in each round, so that a slow phase of the machine
// affects all of them.
import type { Lab, Target } from './lab.ts'
import type { LoadJob, LoadResult, PolicyJob, PolicyResult } from './jobs.ts'
import type { Amounts } from './options.ts'
import type { RowName } from './rows.ts'

export type RouteRound = { readonly closed: LoadResult; readonly open: LoadResult }
export type RouteRow = { readonly name: RowName; readonly what: string; readonly rounds: readonly RouteRound[] }
export type PolicyRow = {
  readonly engine: 'embedded' | 'sidecar'
  readonly concurrency: number
  readonly rounds: readonly PolicyResult[]
}

export type MeasureOptions = {
  readonly rounds: number
  readonly amounts: Amounts
  readonly connections: number
  /** Prints one line of progress. */
  readonly say: (line: string) => void
}

/** Loads each target of the lab. @throws the abort reason when stopped */
export async function measureRoutes(lab: Lab, options: MeasureOptions): Promise<RouteRow[]> {
  const { amounts, rounds, connections, say } = options
  const load = (target: Target, job: Pick<LoadJob, 'ramp' | 'requests' | 'rate'>): Promise<LoadResult> => {
    return lab.unlessBroken(
      lab.generator.ask({
        port: target.port,
        pids: target.pids,
        connections,
        keyed: target.row.keyed === true,
        ...job,
      }),
    )
  }
  for (const target of lab.targets) {
    const { seconds } = await load(target, { ramp: 0, requests: amounts.warmUp })
    say(`warmed up ${target.row.name}: ${amounts.warmUp} requests in ${seconds.toFixed(0)} s`)
  }
  const results = lab.targets.map((target) => ({ target, rounds: [] as RouteRound[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const result of results) {
      const closed = await load(result.target, { ramp: amounts.ramp, requests: amounts.closed })
      const open = await load(result.target, { ramp: amounts.ramp, requests: amounts.open, rate: amounts.rate })
      result.rounds.push({ closed, open })
    }
    say(`round ${round} of ${rounds} is over`)
  }
  return results.map(({ target: { row }, rounds: all }) => ({ name: row.name, what: row.what, rounds: all }))
}

const POLICY_CONCURRENCY = { embedded: [1], sidecar: [1, 8] } as const

/** Measures decisions of both engines without a server. */
export async function measurePolicy(lab: Lab, options: MeasureOptions): Promise<PolicyRow[]> {
  const { amounts, rounds, say } = options
  const rows = (['embedded', 'sidecar'] as const).flatMap((engine) =>
    POLICY_CONCURRENCY[engine].map((concurrency) => ({ engine, concurrency, rounds: [] as PolicyResult[] })),
  )
  const decide = ({ engine, concurrency }: (typeof rows)[number]): Promise<PolicyResult> => {
    const sidecar = engine === 'sidecar' && lab.opa !== undefined ? lab.opa : undefined
    const job: PolicyJob = {
      policyDir: lab.policyDir,
      decisions: amounts.decisions[engine],
      concurrency,
      pids: sidecar === undefined ? {} : { opa: sidecar.pid },
      ...(sidecar !== undefined && { opaUrl: sidecar.url }),
    }
    return lab.unlessBroken(lab.policy.ask<PolicyResult>(job))
  }
  for (const row of rows) await decide(row)
  for (let round = 0; round < rounds; round++) for (const row of rows) row.rounds.push(await decide(row))
  say('policy engines are measured')
  return rows
}
