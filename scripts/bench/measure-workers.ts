// One typical call of each capability of the bundled workers: the examples of docs/workers/, in this process, without a
// network. Compared with the service level that the worker declares.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorkerDefinition } from '../../src/worker/define.ts'
import { workerNamed, workerNames } from '../../src/workers/registry.ts'
import { readExamples, type WorkerExample } from '../lab/worker-examples.ts'
import { call, createTestWorker, type TestWorker } from '../lab/worker-calls.ts'
import { latencyOf, type Latency } from './statistics.ts'
import { fixed, table } from './table.ts'

export type WorkerRow = {
  readonly capability: string
  /** The first call, including lazy loading. */
  readonly firstMs: number
  readonly latencyMs: Latency
  readonly slo: Readonly<Record<string, number>>
  /** Answers other than 200. */
  readonly failed: number
}

type Options = { readonly calls: number; readonly say: (line: string) => void; readonly stop: AbortSignal }

/** Calls each example `calls` times in sequence. @throws the abort reason when stopped */
export async function measureWorkers({ calls, say, stop }: Options): Promise<WorkerRow[]> {
  const stateDir = await mkdtemp(join(tmpdir(), 'crank-bench-workers-'))
  const examples = await readExamples()
  const rows: WorkerRow[] = []
  try {
    for (const name of workerNames) {
      say(`calling ${name} …`)
      const make = workerNamed(name)
      if (make === undefined) continue
      const definition = await make({ stateDir })
      const worker = await createTestWorker(definition)
      for (const { capability, schema } of definition.capabilities) {
        const example = examples.find((one) => one.capability === capability)
        if (example !== undefined) rows.push(await measure(worker, example, { calls, stop, slo: schema.slo ?? {} }))
      }
      await close(definition)
    }
  } finally {
    await rm(stateDir, { recursive: true, force: true })
  }
  return rows
}

async function measure(
  worker: TestWorker,
  { capability, input }: WorkerExample,
  { calls, stop, slo }: { calls: number; stop: AbortSignal; slo: WorkerRow['slo'] },
): Promise<WorkerRow> {
  let failed = 0
  const once = async (): Promise<number> => {
    stop.throwIfAborted()
    const start = performance.now()
    const { status } = await call(worker, capability, input)
    if (status !== 200) failed += 1
    return performance.now() - start
  }
  const firstMs = await once()
  const all = new Float64Array(calls)
  for (let at = 0; at < calls; at++) all[at] = await once()
  return { capability, firstMs, latencyMs: latencyOf(all), slo, failed }
}

async function close({ close: free }: WorkerDefinition): Promise<void> {
  await free?.()
}

/** The results as a table; a service level is met when the measured percentile does not exceed it. */
export function workerTable(rows: readonly WorkerRow[]): string[] {
  if (rows.length === 0) return []
  const cells = rows.map(({ capability, firstMs, latencyMs, slo }) => [
    capability,
    fixed(firstMs, 1),
    fixed(latencyMs.p50, 2),
    fixed(latencyMs.p95, 2),
    Object.entries(slo)
      .map(([rank, ms]) => `${rank.replace('_ms', '')} ${ms} ms ${isMet(latencyMs, rank, ms) ? 'met' : 'missed'}`)
      .join(', '),
  ])
  return [
    'Workers, one call at a time',
    ...table(['capability', 'first ms', 'p50 ms', 'p95 ms', 'promised'], cells),
    '',
  ]
}

function isMet(latency: Latency, rank: string, ms: number): boolean {
  const measured = { p50_ms: latency.p50, p95_ms: latency.p95, p99_ms: latency.p99 }[rank]
  return measured !== undefined && measured <= ms
}
