// The interface of an engine kind: when it is chosen, and how policy files come into force in it. The table of kinds is in
// engines.ts.
import type { PolicyEngine } from '../../core/decision.ts'
import type { PolicyFiles } from '../data/policy-files.ts'
import type { LoadedByOpa } from './opa-loaded.ts'
import type { PolicyImage } from './opa-image.ts'
import type { OpaTarget } from './opa-target.ts'
import type { OpaTraffic } from './question-line.ts'

/** What decides now: an engine and its files. Always replaced together. */
export type InForce = {
  readonly engine: PolicyEngine
  readonly files: PolicyFiles
  /** 12 hex digits of a hash over Rego and data, or the revision of the sidecar's bundle. */
  readonly revision: string
}

/** Policy files that may decide. `revision` undefined: the current one stays, since it does not depend on the files. */
type Prepared = Pick<InForce, 'engine' | 'files'> & { readonly revision: string | undefined }

/** The settings that choose a kind, and that its engine needs. */
export type EngineSettings = {
  /** OPA_URL; undefined if it is not set. */
  readonly opa: OpaTarget | undefined
  readonly timeoutMs: number
  /** To find OPA if the Rego has to be compiled. */
  readonly env: NodeJS.ProcessEnv
  /** Unix ms. */
  readonly now: () => number
  /** Called when policy.wasm cannot be used, for `reason`, and the Rego is compiled instead. */
  readonly onCompile: (reason: string) => void
}

/** `compiled`: why policy.wasm of the folder could not be used, if OPA had to compile the Rego. */
export type BuiltEngine = { readonly wasm: Uint8Array; readonly image: PolicyImage; readonly compiled?: string }

/** Engines of one kind for one controller. */
export type EngineHost = {
  readonly name: PolicyEngine['name']
  /** The engine runs in another process: its decisions are edges of the service map. */
  readonly isRemote: boolean
  /** For the start, without a check: the self-check finds out whether the files are usable. */
  readonly begin: (files: PolicyFiles) => Promise<InForce>
  /**
   * Checks all conditions for new files to decide. `built`: their engine, as far as another thread could build it.
   * @throws {PolicyRefusedError | Error} when a condition is not met, or not yet
   */
  readonly prepare: (files: PolicyFiles, current: InForce, built?: BuiltEngine) => Promise<Prepared>
  /** Reports what a sidecar has loaded; undefined for an engine in this process. */
  readonly loaded: ((files: PolicyFiles) => Promise<LoadedByOpa>) | undefined
  /** What was asked of a sidecar; undefined for an engine in this process. */
  readonly traffic: (() => OpaTraffic) | undefined
  /** Releases the previous engine. */
  readonly retire: (previous: InForce) => Promise<void>
  readonly close: () => Promise<void>
}

export type EngineKind = {
  readonly isChosenBy: (settings: EngineSettings) => boolean
  readonly open: (settings: EngineSettings) => EngineHost
}

/** Policy files that may not come into force; `message` says why. */
export class PolicyRefusedError extends Error {
  override readonly name = 'PolicyRefusedError'
}
