// The embedded engine with a policy folder, without a controller: for commands that ask a folder, and for replay.
import type { Decide, PolicyEngine } from '../../core/decision.ts'
import { loadWasm } from './compile.ts'
import { createOpaWasm } from './opa-wasm.ts'
import { loadPolicyFiles, type PolicyFiles } from '../data/policy-files.ts'

export type OfflineEngine = {
  readonly name: PolicyEngine['name']
  readonly decide: Decide
  readonly files: PolicyFiles
}

type OfflineEngineOptions = {
  /** To find OPA if policy.wasm was not built from the Rego beside it. */
  readonly env: NodeJS.ProcessEnv
  /** Unix ms. */
  readonly now: () => number
  /** Called with the reason when the Rego is compiled again. */
  readonly onCompile?: (reason: string) => void
}

// No call waits for these decisions: a late one is better than none.
const TIMEOUT_MS = 10_000

/**
 * Loads the policy of `policyDir`; only reads the folder.
 * @throws {PolicyFilesError | StalePolicyError | PolicyCompileError | Error} when it cannot be used
 */
export async function createOfflineEngine(policyDir: string, options: OfflineEngineOptions): Promise<OfflineEngine> {
  const files = await loadPolicyFiles(policyDir, options.now())
  const wasm = await loadWasm(files, { env: options.env, onCompile: options.onCompile })
  const { name, decide } = await createOpaWasm({ files, wasm, timeoutMs: TIMEOUT_MS })
  return { name, decide, files }
}
