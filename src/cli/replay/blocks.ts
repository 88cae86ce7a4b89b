// Splits a pipe into blocks of whole lines, each with its own memory, so that it can be moved to another thread without
// a copy.
import { open } from 'node:fs/promises'

const BLOCK_BYTES = 1024 * 1024
const LINE_FEED = 10

/**
 * The bytes of `file` up to its end; each block but the last ends in a line feed. A line longer than a block is split,
 * but no record is that long. Rejects with the file system's error when the file cannot be read.
 */
export async function* readBlocks(
  file: string,
  blockBytes = BLOCK_BYTES,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const handle = await open(file, 'r')
  try {
    let rest: Uint8Array = new Uint8Array(0)
    for (;;) {
      const block = new Uint8Array(blockBytes)
      block.set(rest)
      let filled = rest.length
      for (let read = -1; read !== 0 && filled < block.length; filled += read) {
        read = (await handle.read(block, filled, block.length - filled, null)).bytesRead
      }
      if (filled < block.length) {
        if (filled > 0) yield block.subarray(0, filled)
        return
      }
      const end = block.lastIndexOf(LINE_FEED) + 1
      rest = end === 0 ? new Uint8Array(0) : block.slice(end)
      yield end === 0 ? block : block.subarray(0, end)
    }
  } finally {
    await handle.close()
  }
}
