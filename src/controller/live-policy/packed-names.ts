// Names on their way between threads: as one piece of memory they are moved, not copied, and can be unpacked a part at a time.
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Unpacked in one turn of the event loop: less than a millisecond. */
const NAMES_A_TURN = 2000
const END = '\0'

/** No name contains NUL. */
export function packNames(names: ReadonlySet<string>): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode([...names].map((name) => `${name}${END}`).join(''))
}

export async function unpackNames(packed: Uint8Array): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  for (let at = 0, end = bytes.indexOf(END, at); end >= 0; at = end + 1, end = bytes.indexOf(END, at)) {
    names.add(bytes.toString('utf8', at, end))
    if (names.size % NAMES_A_TURN === 0) await nextTurn()
  }
  return names
}
