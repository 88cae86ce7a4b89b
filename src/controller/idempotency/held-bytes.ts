// How many bytes of bodies and answers the calls with a key hold in memory: such a call is not streamed, so without a limit
// one identity with many connections could use all memory.

type HeldBytesLimits = { readonly perCaller: number; readonly total: number }

/** A call's share. */
export type Holding = {
  /** False: the limit is reached, and nothing was added. */
  readonly add: (bytes: number) => boolean
  readonly release: () => void
}

/** @returns opens the share of one call */
export function createHeldBytes({ perCaller, total }: HeldBytesLimits): (caller: string) => Holding {
  const held = new Map<string, number>()
  let all = 0
  return (caller) => {
    let own = 0
    return {
      add(bytes) {
        const ofCaller = held.get(caller) ?? 0
        if (ofCaller + bytes > perCaller || all + bytes > total) return false
        held.set(caller, ofCaller + bytes)
        all += bytes
        own += bytes
        return true
      },
      release() {
        if (own === 0) return
        const left = (held.get(caller) ?? 0) - own
        if (left === 0) held.delete(caller)
        else held.set(caller, left)
        all -= own
        own = 0
      },
    }
  }
}
