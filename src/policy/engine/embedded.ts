// The embedded engine: compiles the policy files if necessary, evaluates them in this process, and checks them before they
// decide.
import type { PolicyEngine } from '../../core/decision.ts'
import { loadWasm } from './compile.ts'
import {
  PolicyRefusedError,
  type BuiltEngine,
  type EngineHost,
  type EngineKind,
  type EngineSettings,
  type InForce,
} from './engine-kind.ts'
import { createOpaWasm } from './opa-wasm.ts'
import type { PolicyFiles } from '../data/policy-files.ts'
import { createSelfCheck } from './self-check.ts'

/** Used by every controller without OPA_URL. */
export const embedded: EngineKind = { isChosenBy: ({ opa }) => opa === undefined, open }

function open({ timeoutMs, env, now, onCompile }: EngineSettings): EngineHost {
  const running = new Set<PolicyEngine>()
  const begin = async (files: PolicyFiles, built?: BuiltEngine): Promise<InForce> => {
    if (built?.compiled !== undefined) onCompile(built.compiled)
    const parts = built ?? { wasm: await loadWasm(files, { env, onCompile }) }
    const engine = await createOpaWasm({ ...parts, files, timeoutMs })
    running.add(engine)
    return { engine, files, revision: files.revision }
  }
  const end = async (engine: PolicyEngine): Promise<void> => {
    running.delete(engine)
    await engine.close()
  }
  return {
    name: 'opa-wasm',
    isRemote: false,
    begin,
    async prepare(files, _current, built) {
      const next = await begin(files, built)
      const fault = await createSelfCheck({ engine: next.engine, files, now })()
      if (fault === undefined) return next
      await end(next.engine)
      throw new PolicyRefusedError([fault.reason, fault.detail].filter((part) => part !== undefined).join(': '))
    },
    loaded: undefined,
    traffic: undefined,
    retire: ({ engine }) => end(engine),
    close: async () => {
      await Promise.all([...running].map(end))
    },
  }
}
