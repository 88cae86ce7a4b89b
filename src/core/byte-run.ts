// On the path of every call. Long runs of bytes of one kind, in a text that nobody has parsed: passed four bytes at a time,
// since whoever sends a megabyte of space must not cost much more than its arrival.

/** For each byte 1 or 0; behind these 256 the same for each two bytes together. */
type ByteTable = Uint8Array

const BYTES = 256
const PAIRS = 65_536
const WORD_BYTES = 4
/** Most runs are shorter, and end before a view of words would pay. */
const SHORT_RUN = 24

/** For each byte whether `holds` is true of it. */
export function tableOf(holds: (character: string) => boolean): ByteTable {
  const single = Uint8Array.from({ length: BYTES }, (_, byte) => Number(holds(String.fromCharCode(byte))))
  const table = new Uint8Array(BYTES + PAIRS)
  table.set(single)
  for (let pair = 0; pair < PAIRS; pair++) table[BYTES + pair] = (single[pair & 0xff] ?? 0) & (single[pair >>> 8] ?? 0)
  return table
}

/** Index of the first byte at or behind `from` that is not in `table`; the end of the bytes if there is none. */
export function skipRun(bytes: Buffer, from: number, table: ByteTable): number {
  const { length } = bytes
  let at = from
  const stop = Math.min(from + SHORT_RUN, length)
  while (at < stop && table[bytes[at] ?? 0] === 1) at++
  if (at < stop || at >= length) return at
  while ((bytes.byteOffset + at) % WORD_BYTES !== 0) {
    if (at === length || table[bytes[at] ?? 0] !== 1) return at
    at++
  }
  at += WORD_BYTES * wordsOfRun(bytes, at, table)
  while (at < length && table[bytes[at] ?? 0] === 1) at++
  return at
}

/** Index of the first byte of the run that ends before `end`; `end` itself if there is none. */
export function startOfRun(bytes: Buffer, end: number, table: ByteTable): number {
  let at = end
  const stop = Math.max(end - SHORT_RUN, 0)
  while (at > stop && table[bytes[at - 1] ?? 0] === 1) at--
  if (at > stop || at === 0) return at
  while ((bytes.byteOffset + at) % WORD_BYTES !== 0) {
    if (at === 0 || table[bytes[at - 1] ?? 0] !== 1) return at
    at--
  }
  const first = at % WORD_BYTES
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + first, (at - first) / WORD_BYTES)
  let n = words.length
  while (n > 0 && holdsWord(table, words[n - 1] ?? 0)) n--
  at = first + WORD_BYTES * n
  while (at > 0 && table[bytes[at - 1] ?? 0] === 1) at--
  return at
}

/** How many whole words from `at`, which is aligned, have only bytes of the table. */
function wordsOfRun(bytes: Buffer, at: number, table: ByteTable): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, Math.floor((bytes.length - at) / WORD_BYTES))
  let n = 0
  while (n < words.length) {
    if (!holdsWord(table, words[n] ?? 0)) break
    n++
  }
  return n
}

function holdsWord(table: ByteTable, word: number): boolean {
  return ((table[BYTES + (word & 0xffff)] ?? 0) & (table[BYTES + (word >>> 16)] ?? 0)) === 1
}
