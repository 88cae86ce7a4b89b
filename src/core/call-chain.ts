// On the path of every call. The chain of calls to which a call belongs: a worker that calls on behalf of a call continues its
// chain.
import type { SpiffeId } from './spiffe-id.ts'

/**
 * `origin`: who made the first call. `depth`: how many calls are above this one; 0 for a call that nobody made on behalf of
 * another. `onBehalfOf`: the decision id of the call directly above, null at depth 0.
 */
export type CallChain = {
  readonly origin: SpiffeId
  readonly depth: number
  readonly onBehalfOf: string | null
}

/** A call of this depth is refused: depths 0 to 7 pass, so that a chain has at most eight calls. */
export const MAX_CALL_DEPTH = 8

/** The chain that a direct call begins. */
export function newChain(caller: SpiffeId): CallChain {
  return { origin: caller, depth: 0, onBehalfOf: null }
}
