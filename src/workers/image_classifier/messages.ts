// What the worker and its model thread say to each other.
import type { Finding, Kind, Picture } from './picture.ts'

export type Task =
  | { readonly do: 'load'; readonly kind: Kind }
  /** The model of this kind must have been loaded. */
  | { readonly do: 'look'; readonly kind: Kind; readonly picture: Picture }

/** `heldBytes`: memory that the thread holds after it, heap and wasm. */
export type Reply = { readonly findings: readonly Finding[]; readonly heldBytes: number }
