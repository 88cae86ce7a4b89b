// A compressed file from which any part can be read: frames of zstd, each of which is compressed by itself, and at the end a
// table of their sizes in a frame that every zstd decoder skips ("Zstandard Seekable Format", facebook/zstd, contrib).
import { readSync } from 'node:fs'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'

/** A frame: where it is in the file, and where its content is in the whole content. */
export type Frame = {
  readonly at: number
  readonly bytes: number
  readonly contentAt: number
  readonly contentBytes: number
}

/** Its content: some 256 KiB of whole lines, which take less than a millisecond to decompress. */
export const FRAME_BYTES = 256 * 1024
const SKIPPABLE = 0x184d2a5e
const SEEKABLE = 0x8f92eab1
const HEADER_BYTES = 8
const FOOTER_BYTES = 9
const ENTRY_BYTES = 8
/** More than a segment can have, against a table that lies. */
const MAX_CONTENT = 1024 * 1024 * 1024
/** The least and the most memory that a step of the decompression gets. */
const MIN_STEP = 64
const MAX_STEP = 1024 * 1024

export function compressFrame(content: Uint8Array): Buffer {
  return zstdCompressSync(content)
}

/** @param contentBytes as the table says: with memory of that size it takes half as long as with zlib's pieces of 16 KiB */
export function decompressFrame(bytes: Uint8Array, contentBytes = MAX_STEP): Buffer {
  const chunkSize = Math.min(MAX_STEP, contentBytes) + MIN_STEP
  return zstdDecompressSync(bytes, { maxOutputLength: MAX_CONTENT, chunkSize })
}

/** The end of the file. `frames`: the sizes of all frames, in order. */
export function seekTable(frames: readonly Pick<Frame, 'bytes' | 'contentBytes'>[]): Buffer {
  const table = Buffer.alloc(HEADER_BYTES + frames.length * ENTRY_BYTES + FOOTER_BYTES)
  table.writeUInt32LE(SKIPPABLE, 0)
  table.writeUInt32LE(table.length - HEADER_BYTES, 4)
  frames.forEach(({ bytes, contentBytes }, at) => {
    table.writeUInt32LE(bytes, HEADER_BYTES + at * ENTRY_BYTES)
    table.writeUInt32LE(contentBytes, HEADER_BYTES + at * ENTRY_BYTES + 4)
  })
  table.writeUInt32LE(frames.length, table.length - FOOTER_BYTES)
  // No checksums: each record has a hash of its own.
  table.writeUInt8(0, table.length - 5)
  table.writeUInt32LE(SEEKABLE, table.length - 4)
  return table
}

/** The frames of a file; undefined when it has no such table, as a file that another program compressed. */
export function framesIn(fd: number, size: number): Frame[] | undefined {
  const tableBytes = seekTableBytes(part(fd, size - FOOTER_BYTES, FOOTER_BYTES))
  if (tableBytes === undefined || tableBytes > size) return undefined
  return framesOf(part(fd, size - tableBytes, tableBytes), size)
}

function part(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, length))
  return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, Math.max(0, at)))
}

/** The size of the table that ends with `footer`, the last 9 bytes of a file; undefined when there is none. */
function seekTableBytes(footer: Buffer): number | undefined {
  if (footer.length < FOOTER_BYTES || footer.readUInt32LE(footer.length - 4) !== SEEKABLE) return undefined
  // With checksums an entry has four bytes more; our files have none.
  if (footer.readUInt8(footer.length - 5) !== 0) return undefined
  return HEADER_BYTES + footer.readUInt32LE(footer.length - FOOTER_BYTES) * ENTRY_BYTES + FOOTER_BYTES
}

/** The frames of a table; undefined when it does not describe `fileBytes` bytes. */
function framesOf(table: Buffer, fileBytes: number): Frame[] | undefined {
  if (table.length < HEADER_BYTES + FOOTER_BYTES || table.readUInt32LE(0) !== SKIPPABLE) return undefined
  const frames: Frame[] = []
  let [at, contentAt] = [0, 0]
  for (let entry = HEADER_BYTES; entry < table.length - FOOTER_BYTES; entry += ENTRY_BYTES) {
    const [bytes, contentBytes] = [table.readUInt32LE(entry), table.readUInt32LE(entry + 4)]
    frames.push({ at, bytes, contentAt, contentBytes })
    at += bytes
    contentAt += contentBytes
  }
  return at + table.length === fileBytes ? frames : undefined
}
