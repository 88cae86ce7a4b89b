// Messages between the worker and its model thread.
import type { Finding, Kind, Picture } from './picture.ts'

export type Task =
  | { readonly do: 'load'; readonly kind: Kind }
  /** The model of this kind must be loaded. */
  | { readonly do: 'look'; readonly kind: Kind; readonly picture: Picture }

/** `heldBytes`: memory that the thread holds after the task, heap and wasm. */
export type Reply = { readonly findings: readonly Finding[]; readonly heldBytes: number }
