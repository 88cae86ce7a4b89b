// Messages between the replay and its threads.
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { MemoPlan } from './memo.ts'
import type { Window } from './recorded.ts'

export type ThreadTask = {
  /** The policy, compiled and loaded once by the thread's owner. */
  readonly wasm: Uint8Array
  readonly files: Pick<PolicyFiles, 'dataText' | 'enforcement' | 'blocked'>
  readonly window: Window
  /** Undefined: every decision is evaluated. */
  readonly memo: MemoPlan | undefined
}

/** Whole lines of the log. */
export type Block = { readonly bytes: Uint8Array<ArrayBuffer> }
