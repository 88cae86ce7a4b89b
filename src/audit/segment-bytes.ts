// Reads any part of a segment, compressed or not: positions are always those of its lines.
import { open, type FileHandle } from 'node:fs/promises'
import { compressedFile, isCompressed } from './places.ts'
import { decompressFrame, framesIn, type Frame } from './seekable.ts'

export type SegmentBytes = {
  /** How many bytes its lines have; the newest segment grows. */
  readonly size: () => Promise<number>
  /** Some bytes from `position` on, at most 256 KiB; none at the end. They are valid until the next call. */
  readonly read: (position: number) => Promise<Buffer>
  readonly close: () => Promise<void>
}

const CHUNK_BYTES = 256 * 1024

/**
 * Opens a segment. When it has been compressed since somebody looked, its compressed form. Rejects with the file system's error
 * when it cannot be read, and with `ERR_ZSTD_…` codes or a RangeError when a compressed one is damaged.
 */
export async function openSegment(file: string): Promise<SegmentBytes> {
  if (isCompressed(file)) return openFrames(await open(file, 'r'), file)
  const handle = await open(file, 'r').catch(async (cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    const compressed = await open(compressedFile(file), 'r').catch(() => undefined)
    if (compressed === undefined) throw cause
    return { compressed }
  })
  return 'compressed' in handle ? openFrames(handle.compressed, compressedFile(file)) : plain(handle)
}

function plain(handle: FileHandle): SegmentBytes {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  return {
    size: async () => (await handle.stat()).size,
    async read(position) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
      return buffer.subarray(0, bytesRead)
    },
    close: () => handle.close(),
  }
}

async function openFrames(handle: FileHandle, file: string): Promise<SegmentBytes> {
  try {
    const { size } = await handle.stat()
    const frames = framesIn(handle.fd, size)
    return frames === undefined ? await oneFrame(handle, size) : framed(handle, frames, file)
  } catch (cause: unknown) {
    await handle.close()
    throw withFile(cause, file)
  }
}

/** zstd does not know which file is damaged. */
function withFile(cause: unknown, path: string): unknown {
  return cause instanceof Error && !('path' in cause) ? Object.assign(cause, { path }) : cause
}

function framed(handle: FileHandle, frames: readonly Frame[], file: string): SegmentBytes {
  const end = frames.at(-1)
  let current: { readonly frame: Frame; readonly content: Buffer } | undefined
  return {
    size: () => Promise.resolve(end === undefined ? 0 : end.contentAt + end.contentBytes),
    async read(position) {
      const frame = frameAt(frames, position)
      if (frame === undefined) return Buffer.alloc(0)
      if (current?.frame !== frame) current = { frame, content: await contentOf(frame) }
      return current.content.subarray(position - frame.contentAt)
    },
    close: () => handle.close(),
  }

  async function contentOf({ at, bytes, contentBytes }: Frame): Promise<Buffer> {
    try {
      return decompressFrame(await part(handle, at, bytes), contentBytes)
    } catch (cause: unknown) {
      throw withFile(cause, file)
    }
  }
}

/** A file that somebody compressed with another program has no table: it is read as a whole. */
async function oneFrame(handle: FileHandle, size: number): Promise<SegmentBytes> {
  const content = decompressFrame(await part(handle, 0, size))
  return {
    size: () => Promise.resolve(content.length),
    read: (position) => Promise.resolve(content.subarray(position, position + CHUNK_BYTES)),
    close: () => handle.close(),
  }
}

function frameAt(frames: readonly Frame[], position: number): Frame | undefined {
  let [low, high] = [0, frames.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const frame = frames[middle]
    if (frame === undefined) return undefined
    if (position < frame.contentAt) high = middle - 1
    else if (position >= frame.contentAt + frame.contentBytes) low = middle + 1
    else return frame
  }
  return undefined
}

async function part(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(
    Buffer.alloc(Math.max(0, length)),
    0,
    Math.max(0, length),
    Math.max(0, at),
  )
  return buffer.subarray(0, bytesRead)
}
