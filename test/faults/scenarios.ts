// Every fault of the matrix, in its order.
import type { Scenario } from './scenario.ts'
import { IDENTITY_SCENARIOS } from './scenarios/clocks-and-certificates.ts'
import { DISK_SCENARIOS } from './scenarios/disks.ts'
import { NETWORK_SCENARIOS } from './scenarios/networks.ts'
import { POLICY_SCENARIOS } from './scenarios/policy.ts'
import { PROCESS_SCENARIOS } from './scenarios/processes.ts'
import { WORKER_SCENARIOS } from './scenarios/workers.ts'

export const SCENARIOS: readonly Scenario[] = [
  ...POLICY_SCENARIOS,
  ...WORKER_SCENARIOS,
  ...PROCESS_SCENARIOS,
  ...DISK_SCENARIOS,
  ...NETWORK_SCENARIOS,
  ...IDENTITY_SCENARIOS,
].sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)))
