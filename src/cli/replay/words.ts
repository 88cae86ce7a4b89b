// What the replay and its threads say to each other.
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { MemoPlan } from './memo.ts'
import type { Window } from './recorded.ts'
import type { Tally } from './tally.ts'

export type ThreadTask = {
  /** The policy, compiled and loaded once by whoever starts the threads. */
  readonly wasm: Uint8Array
  readonly files: Pick<PolicyFiles, 'dataText' | 'enforcement' | 'blocked'>
  readonly window: Window
  /** Undefined: every decision is evaluated. */
  readonly memo: MemoPlan | undefined
}

export type BlockMessage = { readonly id: number; readonly bytes: Uint8Array }
export type TallyMessage = { readonly id: number; readonly tally: Tally }
