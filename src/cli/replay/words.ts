// Messages between the replay and its threads.
import type { PolicyFiles } from '../../policy/data/policy-files.ts'
import type { MemoPlan } from './memo.ts'
import type { Window } from './recorded.ts'
import type { Tally } from './tally.ts'

export type ThreadTask = {
  /** The policy, compiled and loaded once by the thread's owner. */
  readonly wasm: Uint8Array
  readonly files: Pick<PolicyFiles, 'dataText' | 'enforcement' | 'blocked'>
  readonly window: Window
  /** Undefined: every decision is evaluated. */
  readonly memo: MemoPlan | undefined
}

/**
 * What a thread replays at a time. `part`: the lines of a segment that begin at `from` or later, and before `to`; the thread reads
 * and decompresses them itself. `lines`: whole lines of a pipe, which can be read only once. `bytes`: of lines.
 */
export type Piece = { readonly bytes: number } & (
  | { readonly kind: 'part'; readonly file: string; readonly from: number; readonly to: number }
  | { readonly kind: 'lines'; readonly content: Uint8Array<ArrayBuffer> }
)

/** `unreadable`: the segment is, as the file system or the decompression said. */
export type Replayed =
  | { readonly kind: 'tally'; readonly tally: Tally }
  | { readonly kind: 'unreadable'; readonly file: string; readonly code: string }
