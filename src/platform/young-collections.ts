// Bodies pass through buffers outside of V8's heap, several for each part. V8 begins a full collection when there are too many
// bytes in them; a collection of the young generation, which frees them as well and takes a millisecond, is begun only by
// objects in the heap, of which a body leaves few. So one is asked for by the bytes that have passed (decision 0062).
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Costs about a twentieth of the CPU that the bytes take; with 8 MiB full collections come again. */
const EVERY_BYTES = 4 * 1024 * 1024
/**
 * How far the old generation may grow until it is collected, in per cent. V8 counts the bytes outside of the heap since the last
 * full collection too, and lets a small heap that is rarely collected grow by a few megabytes only.
 */
const GROWTH_PERCENT = 100

/** Parts of large bodies are 16 KiB. Small bodies leave objects enough in the heap. */
const PART_BYTES = 8 * 1024

/**
 * Call it with the bytes of each part of a body that passes. `open` is called once, when as many have passed as ask for a
 * collection: its settings cost a process that never sees large bodies a tenth of the CPU of its calls.
 */
export function createYoungCollections(open = youngCollector): (bytes: number) => void {
  let passed = 0
  let collect: (() => void) | undefined
  return (bytes) => {
    if (bytes < PART_BYTES) return
    passed += bytes
    if (passed < EVERY_BYTES) return
    passed = 0
    collect ??= open()
    collect()
  }
}

/** V8's own function, which frees the buffers of parts that have passed: it is made in a context that nobody else has, and the flag is reset at once. */
function youngCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void
  setFlagsFromString('--no-expose-gc')
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
  return () => collect({ type: 'minor' })
}
