// On the path of every call. Skips long runs of bytes of one kind in unparsed text, four bytes at a time: a caller that
// sends a megabyte of spaces must not cost much more than receiving it.

/** 1 or 0 for each byte, followed by 1 or 0 for each pair of bytes. */
type ByteTable = Uint8Array

const BYTES = 256
const PAIRS = 65_536
const WORD_BYTES = 4
/** Most runs are shorter than this and end before reading whole words would pay. */
const SHORT_RUN = 24

/** The table of the bytes for which `holds` is true. */
export function tableOf(holds: (character: string) => boolean): ByteTable {
  const single = Uint8Array.from({ length: BYTES }, (_, byte) => Number(holds(String.fromCharCode(byte))))
  const table = new Uint8Array(BYTES + PAIRS)
  table.set(single)
  for (let pair = 0; pair < PAIRS; pair++) table[BYTES + pair] = (single[pair & 0xff] ?? 0) & (single[pair >>> 8] ?? 0)
  return table
}

/** Index of the first byte at or after `from` that is not in `table`; the length of `bytes` if there is none. */
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

/** Index of the first byte of the run that ends just before `end`; `end` itself if there is no run. */
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

/** How many whole words from `at`, which is aligned, consist only of bytes in the table. */
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
