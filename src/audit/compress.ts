// Compresses a complete segment. At every point a crash leaves the segment itself, its compressed form, or both; the segment goes
// only after its compressed form was read back from the disk.
import {
  chmodSync,
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
  existsSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { compressedFile } from './places.ts'
import { compressFrame, decompressFrame, FRAME_BYTES, framesIn, seekTable, type Frame } from './seekable.ts'

const LINE_FEED = 10
const READ_ONLY = 0o400

/**
 * Takes about a second of CPU for 256 MiB, and does not yield: for a thread of its own.
 * @returns the size of the compressed form. @throws {Error} when that is not the same; then the segment stays
 */
export function compressSegment(file: string): number {
  const to = compressedFile(file)
  if (!existsSync(to)) {
    const part = draftFile(to)
    rmSync(part, { force: true })
    try {
      writeFrames(file, part)
    } catch (cause: unknown) {
      // On a full disk it would hold the room that the next records need.
      rmSync(part, { force: true })
      throw cause
    }
    // Its age counts from the last record, also where it is compressed much later.
    const { atime, mtime } = statSync(file)
    utimesSync(part, atime, mtime)
    chmodSync(part, READ_ONLY)
    renameSync(part, to)
    syncFolder(dirname(to))
  }
  if (!isSame(file, to)) {
    throw new Error(`${to} does not have the content of ${file}: move the former away`)
  }
  rmSync(file)
  syncFolder(dirname(file))
  return statSync(to).size
}

/** What a compression that was killed leaves. */
export function draftFile(compressed: string): string {
  return `${compressed}.part`
}

function writeFrames(from: string, to: string): void {
  using files = new DisposableStack()
  const [source, target] = [
    files.adopt(openSync(from, 'r'), closeSync),
    files.adopt(openSync(to, 'wx', 0o600), closeSync),
  ]
  const frames: Pick<Frame, 'bytes' | 'contentBytes'>[] = []
  for (const content of wholeLines(source)) {
    const bytes = compressFrame(content)
    write(target, bytes)
    frames.push({ bytes: bytes.length, contentBytes: content.length })
  }
  write(target, seekTable(frames))
  fsyncSync(target)
}

/** The content in pieces of whole lines; a line that is longer than a piece is split. */
function* wholeLines(fd: number): Generator<Buffer, void> {
  let rest = Buffer.alloc(0)
  for (;;) {
    const step = Buffer.allocUnsafe(FRAME_BYTES)
    const length = readSync(fd, step, 0, step.length, null)
    const all = Buffer.concat([rest, step.subarray(0, length)])
    if (length === 0) {
      if (all.length > 0) yield all
      return
    }
    const end = all.lastIndexOf(LINE_FEED) + 1 || all.length
    if (all.length >= FRAME_BYTES) {
      yield all.subarray(0, end)
      rest = all.subarray(end)
    } else rest = all
  }
}

/** Reads the compressed form as its table says, frame by frame, beside the segment. */
function isSame(file: string, compressed: string): boolean {
  using files = new DisposableStack()
  const [plain, fd] = [files.adopt(openSync(file, 'r'), closeSync), files.adopt(openSync(compressed, 'r'), closeSync)]
  const size = statSync(compressed).size
  const frames = framesIn(fd, size)
  if (frames === undefined) return false
  let total = 0
  for (const { at, bytes, contentBytes } of frames) {
    if (!decompressFrame(read(fd, at, bytes), contentBytes).equals(read(plain, total, contentBytes))) return false
    total += contentBytes
  }
  return total === statSync(file).size
}

function read(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  return bytes.subarray(0, readSync(fd, bytes, 0, length, at))
}

function write(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done)
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
