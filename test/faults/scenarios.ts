// Every fault of the matrix, in its order.
import type { Scenario } from './scenario.ts'
import { WORKER_SCENARIOS } from './scenarios/workers.ts'

export const SCENARIOS: readonly Scenario[] = [...WORKER_SCENARIOS].sort(
  (a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)),
)
