// The embedded engine over a policy folder, without a controller: for the commands that ask a folder, and for replay.
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
  /** Where OPA is looked for, should policy.wasm not be that of the Rego beside it. */
  readonly env: NodeJS.ProcessEnv
  /** Unix ms. */
  readonly now: () => number
  /** Told why the Rego is compiled again. */
  readonly onCompile?: (reason: string) => void
}

// Nobody waits for one of these decisions: late is better than none.
const TIMEOUT_MS = 10_000

/**
 * Loads the policy of `policyDir`; the folder is only read.
 * @throws {PolicyFilesError | StalePolicyError | PolicyCompileError | Error} when it cannot be used
 */
export async function createOfflineEngine(policyDir: string, options: OfflineEngineOptions): Promise<OfflineEngine> {
  const files = await loadPolicyFiles(policyDir, options.now())
  const wasm = await loadWasm(files, { env: options.env, onCompile: options.onCompile })
  const { name, decide } = await createOpaWasm({ files, wasm, timeoutMs: TIMEOUT_MS })
  return { name, decide, files }
}
