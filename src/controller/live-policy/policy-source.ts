// The two ways in which a set on disk comes into force: compiled and evaluated here, or loaded by a sidecar of its own.
import type { PolicyEngine } from '../../core/decision.ts'
import { loadWasm } from '../../policy/engine/compile.ts'
import type { InForce, PolicyLog } from './guard.ts'
import { createOpaHttp } from '../../policy/engine/opa-http.ts'
import { createOpaReader, type LoadedByOpa } from './opa-loaded.ts'
import type { OpaTarget } from '../../policy/engine/opa-target.ts'
import { createOpaWasm } from '../../policy/engine/opa-wasm.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import { createSelfCheck } from '../../policy/engine/self-check.ts'

/** A set that may not come into force; `message` says why. */
export class PolicyRefusedError extends Error {
  override readonly name = 'PolicyRefusedError'
}

/** A sound set that a sidecar has not taken over, or not yet. */
export class OpaBehindError extends PolicyRefusedError {
  /** Its data is another; of Rego alone it may be a comment. */
  readonly isDataOther: boolean

  constructor({ difference, isDataOurs }: { difference: string | undefined; isDataOurs: boolean }) {
    super(`OPA has not taken it over: it has other ${difference ?? 'files'}`)
    this.isDataOther = !isDataOurs
  }
}

/** A set that may decide. `revision` undefined: that in force goes on, since the files do not name it. */
export type Prepared = Pick<InForce, 'engine' | 'files'> & { readonly revision: string | undefined }

export type PolicySource = {
  readonly engine: PolicyEngine['name']
  /** For the start: whether it is sane is found out by the guard. */
  readonly begin: (files: PolicyFiles) => Promise<InForce>
  /** Everything that must hold before a set decides. @throws {PolicyRefusedError | Error} when it does not, or not yet */
  readonly prepare: (files: PolicyFiles, current: InForce) => Promise<Prepared>
  /** What a sidecar has; undefined where nobody else has anything. */
  readonly loaded: ((files: PolicyFiles) => Promise<LoadedByOpa>) | undefined
  /** Lets go of what was in force before. */
  readonly retire: (previous: InForce) => Promise<void>
  readonly close: () => Promise<void>
}

export type SourceOptions = {
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  readonly env: NodeJS.ProcessEnv
  readonly log: PolicyLog
  readonly now: () => number
}

export function createPolicySource(options: SourceOptions): PolicySource {
  return options.opa === undefined ? embedded(options) : sidecar(options.opa, options)
}

function embedded({ timeoutMs, env, log, now }: SourceOptions): PolicySource {
  const begin = async (files: PolicyFiles): Promise<InForce> => {
    const onCompile = (reason: string): void =>
      log.warn({ event: 'policy_compiled', reason }, 'policy.wasm was not usable: the Rego was compiled with OPA')
    const wasm = await loadWasm(files, { env, onCompile })
    return { engine: await createOpaWasm({ files, wasm, timeoutMs }), files, revision: files.revision }
  }
  return {
    engine: 'opa-wasm',
    begin,
    async prepare(files) {
      const next = await begin(files)
      const fault = await createSelfCheck({ engine: next.engine, files, now })()
      if (fault === undefined) return next
      await next.engine.close()
      throw new PolicyRefusedError([fault.reason, fault.detail].filter((part) => part !== undefined).join(': '))
    },
    loaded: undefined,
    retire: ({ engine }) => engine.close(),
    close: () => Promise.resolve(),
  }
}

// The sidecar reads the files by itself. Ours count as in force when it has the same, so that audit records, mode map
// and labels never run ahead of what decides.
function sidecar(target: OpaTarget, { timeoutMs }: SourceOptions): PolicySource {
  const engine = createOpaHttp({ target, timeoutMs })
  const reader = createOpaReader(target)
  return {
    engine: engine.name,
    begin: (files) => Promise.resolve({ engine, files, revision: files.revision }),
    async prepare(files, current) {
      const loaded = await reader.loaded(files)
      // A bundle's revision is not ours to change: the folder only serves the controller's own knowledge then.
      if (loaded.kind === 'bundle') return { engine, files, revision: undefined }
      if (loaded.kind === 'files' && !loaded.isOurs) throw new OpaBehindError(loaded)
      const isNamedByFiles = loaded.kind === 'files' || current.revision === current.files.revision
      return { engine, files, revision: isNamedByFiles ? files.revision : undefined }
    },
    loaded: reader.loaded,
    retire: () => Promise.resolve(),
    close: reader.close,
  }
}
