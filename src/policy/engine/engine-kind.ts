// What a kind of engine is: when it is chosen, and how sets of policy files come into force in it. The table of kinds is
// engines.ts.
import type { PolicyEngine } from '../../core/decision.ts'
import type { PolicyFiles } from '../data/policy-files.ts'
import type { LoadedByOpa } from './opa-loaded.ts'
import type { OpaTarget } from './opa-target.ts'

/** What decides now: an engine, and the files that it decides with. Replaced as one. */
export type InForce = {
  readonly engine: PolicyEngine
  readonly files: PolicyFiles
  /** 12 hex digits over Rego and data, or the revision of the sidecar's bundle. */
  readonly revision: string
}

/** A set that may decide. `revision` undefined: the one in force stays, since the files do not name it. */
type Prepared = Pick<InForce, 'engine' | 'files'> & { readonly revision: string | undefined }

/** What the kinds choose by, and what their engines need. */
export type EngineSettings = {
  /** OPA_URL; undefined where it is not set. */
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  /** Where OPA is looked for, should the Rego have to be compiled. */
  readonly env: NodeJS.ProcessEnv
  /** Unix ms. */
  readonly now: () => number
  /** policy.wasm was not usable for `reason`, and the Rego is compiled. */
  readonly onCompile: (reason: string) => void
}

/** Engines of one kind for one controller. */
export type EngineHost = {
  readonly name: PolicyEngine['name']
  /** It decides in another process: its decisions are edges of the service map. */
  readonly isRemote: boolean
  /** For the start: whether the set is sane is for the self-check to find out. */
  readonly begin: (files: PolicyFiles) => Promise<InForce>
  /** Everything that must hold before a set decides. @throws {PolicyRefusedError | Error} when it does not, or not yet */
  readonly prepare: (files: PolicyFiles, current: InForce) => Promise<Prepared>
  /** What a sidecar has; undefined where no other process has anything. */
  readonly loaded: ((files: PolicyFiles) => Promise<LoadedByOpa>) | undefined
  /** Releases what was in force before. */
  readonly retire: (previous: InForce) => Promise<void>
  readonly close: () => Promise<void>
}

export type EngineKind = {
  readonly isChosenBy: (settings: EngineSettings) => boolean
  readonly open: (settings: EngineSettings) => EngineHost
}

/** A set that may not come into force; `message` says why. */
export class PolicyRefusedError extends Error {
  override readonly name = 'PolicyRefusedError'
}
