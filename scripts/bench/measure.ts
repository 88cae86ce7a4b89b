// The order of a run: warm up everything, then measure all rows in each round, so that a slow phase of the machine
// affects all of them.
import type { Lab, Target } from './lab.ts'
import type { LoadJob, LoadResult, PolicyJob, PolicyResult } from './jobs.ts'
import type { Amounts } from './options.ts'
import type { RowName, Wants } from './rows.ts'

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

type Load = Pick<LoadJob, 'ramp' | 'requests' | 'rate'>

function loadWith(lab: Lab, { connections }: MeasureOptions) {
  return ({ port, pids, row }: Target, job: Load): Promise<LoadResult> =>
    lab.unlessBroken(lab.generator.ask({ port, pids, connections, keyed: row.keyed === true, ...job }))
}

/** Until V8 has compiled what is hot. A peer needs only its connections. */
export async function warmUp(lab: Lab, options: MeasureOptions): Promise<void> {
  const load = loadWith(lab, options)
  for (const target of lab.targets) {
    const requests = warmUpOf(target, options)
    const { seconds } = await load(target, { ramp: 0, requests })
    options.say(`warmed up ${target.row.name}: ${requests} requests in ${seconds.toFixed(0)} s`)
  }
}

/** A controller keeps 250,000 keys of one caller for an hour: with more in the warm-up, eight rounds would not fit. */
const MAX_KEYED_WARM_UP = 40_000

function warmUpOf({ row }: Target, { amounts }: MeasureOptions): number {
  if (row.server === 'nginx') return amounts.warmUpPeer
  return row.keyed === true ? Math.min(amounts.warmUp, MAX_KEYED_WARM_UP) : amounts.warmUp
}

/** Loads each target that is asked for by name. @throws the abort reason when stopped */
export async function measureRoutes(
  lab: Lab,
  options: MeasureOptions & { readonly wants: Wants },
): Promise<RouteRow[]> {
  const { amounts, rounds, say, wants } = options
  const load = loadWith(lab, options)
  const targets = lab.targets.filter(({ row }) => wants(row.name))
  const results = targets.map((target) => ({ target, rounds: [] as RouteRound[] }))
  for (let round = 1; round <= rounds && results.length > 0; round++) {
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
