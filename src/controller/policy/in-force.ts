// The policy a controller decides with: which engine the configuration asks for, wrapped by the guard.
import type { Logger } from '../../platform/logger.ts'
import { createPolicy, type Policy, type PolicyMetrics } from './guard.ts'
import { createOpaHttp, type OpaTarget } from './opa-http.ts'
import { createOpaWasm } from './opa-wasm.ts'
import { loadPolicyFiles } from './policy-files.ts'

export type PolicyInForceOptions = {
  readonly policyDir: string
  /** Undefined: the embedded engine. */
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  readonly log: Logger
  readonly now: () => number
  readonly metrics?: PolicyMetrics
}

/**
 * Reads the policy folder and starts the engine; the first self-check is under way when it resolves.
 * @throws {PolicyFilesError | StalePolicyError} when the folder cannot be used.
 */
export async function createPolicyInForce({
  policyDir,
  opa,
  timeoutMs,
  log,
  now,
  metrics,
}: PolicyInForceOptions): Promise<Policy> {
  const files = await loadPolicyFiles(policyDir, now())
  for (const fault of files.faults) log.warn({ event: 'policy_data_fault', fault }, 'policy data entry without effect')
  const engine =
    opa === undefined ? await createOpaWasm({ files, timeoutMs }) : createOpaHttp({ target: opa, timeoutMs })
  log.info({ event: 'policy_engine', engine: engine.name, revision: files.revision }, 'policy engine chosen')
  return createPolicy({ engine, files, log, now, ...(metrics === undefined ? {} : { metrics }) })
}
