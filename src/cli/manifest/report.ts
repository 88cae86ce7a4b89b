// The output of differences: lines with + and -, and JSON.
import { differencesOf, listIn, type Comparison, type Difference, type Pair } from './compare.ts'
import type { Fault } from './fault.ts'

/** Per worker that differs: its name, then what `generate` would add (+) and remove (-). */
export function diffLines({ pairs }: Comparison): string[] {
  return pairs.flatMap((pair) => {
    const differences = differencesOf(pair)
    if (differences.length === 0) return []
    return [`${pair.worker.id} (${pair.spiffeId})`, ...differences.flatMap((difference) => linesOf(difference, pair))]
  })
}

/** `workers`: as the code defines them. All names are those of the manifest. */
export function toJson(inspection: {
  path: string
  comparison: Comparison
  differences: readonly Difference[]
  faults: readonly Fault[]
}) {
  const { path, comparison, differences, faults } = inspection
  return {
    manifest: path,
    workers: comparison.pairs.map(({ worker, spiffeId }) => ({
      spiffe_id: spiffeId,
      worker_id: worker.id,
      required_capabilities: worker.required,
      provided_capabilities: worker.provided,
      defined_at: worker.place,
    })),
    differences: differences.map(({ spiffeId, workerId, place, ...rest }) => ({
      spiffe_id: spiffeId,
      worker_id: workerId,
      ...rest,
      defined_at: place,
    })),
    no_code_here: comparison.codeElsewhere.map(({ spiffeId }) => spiffeId),
    faults,
  }
}

function linesOf(difference: Difference, { worker }: Pair): string[] {
  switch (difference.kind) {
    case 'no_manifest':
      return (['required_capabilities', 'provided_capabilities'] as const).flatMap((list) =>
        listIn(worker, list).map((capability) => `+ ${list}: ${capability}`),
      )
    case 'worker_id':
      return [`- worker_id: ${difference.found}`, `+ worker_id: ${worker.id}`]
    case 'no_list':
      return listIn(worker, difference.list).map((capability) => `+ ${difference.list}: ${capability}`)
    case 'missing':
      return [`+ ${difference.list}: ${difference.capability}`]
    case 'surplus':
      return [`- ${difference.list}: ${difference.capability}`]
  }
}
