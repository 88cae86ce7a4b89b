// Large parts of a body that arrive in one turn of the event loop leave together: each write costs a call into TLS, a call of
// the system and a turn for its completion, which together cost more than 16 KiB are worth.

/** Smaller parts leave at once: somebody may wait for an event, and small bodies come in one part. */
const PART_BYTES = 8 * 1024
/** As much as a stream holds before it says that it is full. */
const MAX_BYTES = 64 * 1024

type Corked = { readonly cork: () => void; readonly uncork: () => void }

/** `write`: for each part, passes it on by `pass`. `leave`: what is gathered leaves now, as before the end of the stream. */
type GatheredWrites = {
  readonly write: (bytes: number, pass: () => boolean) => boolean
  readonly leave: () => void
}

export function createGatheredWrites(stream: Corked): GatheredWrites {
  let gathered = 0
  let immediate: NodeJS.Immediate | undefined
  const leave = (): void => {
    if (immediate === undefined) return
    clearImmediate(immediate)
    immediate = undefined
    gathered = 0
    stream.uncork()
  }
  return {
    write(bytes, pass) {
      if (bytes < PART_BYTES) return pass()
      if (immediate === undefined) {
        stream.cork()
        immediate = setImmediate(leave)
      }
      const hasRoom = pass()
      gathered += bytes
      // A stream that holds more than it wants to says so, although what it holds is to leave together.
      if (gathered < MAX_BYTES) return true
      leave()
      return hasRoom
    },
    leave,
  }
}
