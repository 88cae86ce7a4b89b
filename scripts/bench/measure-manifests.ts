// Whether an evaluation grows with the policy's data: the same question to both engines with more and more manifests.
import { join } from 'node:path'
import type { PolicyJob, PolicyResult } from './jobs.ts'
import { startOpa } from './lab.ts'
import { copyWithManifests } from './manifests.ts'
import type { Script } from './processes.ts'
import { setStage, type Stage } from './stage.ts'
import { spread, table } from './table.ts'

export type ManifestRow = {
  readonly engine: 'embedded' | 'sidecar'
  readonly manifests: number
  readonly rounds: readonly PolicyResult[]
}
/** `counts`: manifests, the smallest first. */
export type ManifestAmounts = {
  readonly counts: readonly number[]
  readonly embedded: number
  readonly sidecar: number
}

type Options = {
  readonly rounds: number
  readonly amounts: ManifestAmounts
  readonly say: (line: string) => void
  readonly stop: AbortSignal
}
type Lab = Stage & { readonly policy: Script; readonly jobs: readonly (Omit<ManifestRow, 'rounds'> & PolicyJob)[] }

export async function measureManifests({ rounds, amounts, say, stop }: Options): Promise<ManifestRow[]> {
  say(`starting an OPA for each of ${amounts.counts.join(', ')} manifests …`)
  await using lab = await openLab(amounts, stop)
  const rows = lab.jobs.map((job) => ({ job, rounds: [] as PolicyResult[] }))
  const decide = (job: PolicyJob): Promise<PolicyResult> => lab.unlessBroken(lab.policy.ask<PolicyResult>(job))
  for (const { job } of rows) await decide(job)
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) row.rounds.push(await decide(row.job))
    say(`manifests, round ${round} of ${rounds} is over`)
  }
  return rows.map(({ job: { engine, manifests }, rounds: all }) => ({ engine, manifests, rounds: all }))
}

function openLab(amounts: ManifestAmounts, stop: AbortSignal): Promise<Lab> {
  return setStage(stop, async (dir, processes) => {
    const policy = await processes.run('policy.ts', {})
    const jobs: Lab['jobs'][number][] = []
    for (const manifests of amounts.counts) {
      const policyDir = join(dir, `policies-${manifests}`)
      await copyWithManifests(policyDir, manifests)
      const { url, pid } = await startOpa(processes, policyDir, `opa-${manifests}`)
      const common = { policyDir, concurrency: 1, manifests }
      jobs.push({ ...common, engine: 'embedded', decisions: amounts.embedded, pids: {} })
      jobs.push({ ...common, engine: 'sidecar', decisions: amounts.sidecar, pids: { opa: pid }, opaUrl: url })
    }
    return { policy, jobs: jobs.toSorted((one, other) => one.engine.localeCompare(other.engine)) }
  })
}

/** Median evaluation time with that many manifests over that with the fewest, of each round. */
export function manifestRatios(
  rows: readonly ManifestRow[],
  engine: ManifestRow['engine'],
  manifests: number,
): readonly number[] {
  const own = rows.filter((row) => row.engine === engine)
  const row = own.find((one) => one.manifests === manifests)
  return (row?.rounds ?? []).map(
    ({ latencyMs }, at) => latencyMs.p50 / (own[0]?.rounds[at]?.latencyMs.p50 ?? Number.NaN),
  )
}

/** As a table. */
export function manifestTable(rows: readonly ManifestRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ engine, manifests, rounds }) => [
    engine,
    String(manifests),
    ...(['p50', 'p95'] as const).map((part) =>
      spread(
        rounds.map(({ latencyMs }) => latencyMs[part] * 1000),
        1,
      ),
    ),
    ...['policy', 'opa'].map((part) =>
      spread(
        rounds.map(({ cpuUs }) => cpuUs[part] ?? Number.NaN),
        1,
      ),
    ),
  ])
  return [
    'Policy evaluation by the number of manifests, one question at a time',
    ...table(['engine', 'manifests', 'p50 us', 'p95 us', 'CPU own', 'CPU opa'], cells),
    '',
  ]
}
