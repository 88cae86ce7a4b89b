// Reads the lines of an audit file from its beginning, as text: one character per byte, since records are ASCII.
import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** `number` counts from 1. `complete`: the line ends with a line feed; only the last line may lack one. */
type Line = { readonly number: number; readonly text: string; readonly complete: boolean }

type LineSplitter = {
  /** The lines that `chunk` completes. */
  push(chunk: Buffer): string[]
  /** The rest: the beginning of an incomplete line. */
  rest(): string
}

const CHUNK_BYTES = 256 * 1024
/** Far longer than any record. To bound memory, a longer line is returned in pieces, which are not valid records. */
const MAX_LINE = 1024 * 1024
/** A line that is being written is complete a moment later. */
const SETTLE_TRIES = 3
const SETTLE_MS = 50

export function createLineSplitter(): LineSplitter {
  let rest = ''
  return {
    push(chunk) {
      const lines = (rest + chunk.toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > MAX_LINE) {
        lines.push(rest)
        rest = ''
      }
      return lines
    },
    rest: () => rest,
  }
}

/** Streams the lines of `file` up to its end. Rejects with the file system's error when it cannot be read. */
export async function* readLines(file: string): AsyncGenerator<Line, void> {
  const handle = await open(file, 'r')
  try {
    const splitter = createLineSplitter()
    let number = 0
    for await (const chunk of chunks(handle, splitter)) {
      for (const text of splitter.push(chunk)) yield { number: ++number, text, complete: true }
    }
    if (splitter.rest() !== '') yield { number: number + 1, text: splitter.rest(), complete: false }
  } finally {
    await handle.close()
  }
}

async function* chunks(handle: FileHandle, splitter: LineSplitter): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let tries = 0; tries < SETTLE_TRIES;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null)
    if (bytesRead > 0) {
      yield buffer.subarray(0, bytesRead)
      tries = 0
    } else if (splitter.rest() === '') return
    else if (++tries < SETTLE_TRIES) await delay(SETTLE_MS)
  }
}
