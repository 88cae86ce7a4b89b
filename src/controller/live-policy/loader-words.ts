// The messages between the controller and the thread that reads changed policy files.
import type { DataFault } from '../../policy/data/data-schema.ts'
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { BuiltEngine } from '../../policy/engine/engine-kind.ts'
import type { PolicyDelta } from './policy-delta.ts'

/** The files in force, to compare with. `data`: the text of `data` in UTF-8, in memory that both threads see. */
type ComparedFiles = {
  readonly data: Uint8Array<SharedArrayBuffer>
  readonly hashes: ReadonlyMap<string, string>
}

/** `env`: to find OPA. `engine`: build the embedded engine too. */
export type LoadTask = {
  readonly dir: string
  readonly nowMs: number
  readonly env: NodeJS.ProcessEnv
  readonly engine: boolean
  readonly previous: ComparedFiles
}

/** Large members of PolicyFiles are packed, since the controller's thread unpacks them a part at a time. */
type Packed = {
  readonly data: Uint8Array<SharedArrayBuffer>
  readonly knownCapabilities: Uint8Array
  readonly knownIdentities: Uint8Array
}

export type LoadedFiles = {
  readonly kind: 'loaded'
  readonly signature: string
  readonly hashes: ReadonlyMap<string, string>
  readonly files: Omit<PolicyFiles, 'dataText' | 'knownCapabilities' | 'knownIdentities'>
  readonly packed: Packed
  readonly changed: PolicyDelta
  readonly built: BuiltEngine | undefined
}

/** `name`: of the error's class. */
export type LoadFailure = {
  readonly kind: 'failed'
  readonly name: string
  readonly message: string
  readonly faults: readonly DataFault[]
}
