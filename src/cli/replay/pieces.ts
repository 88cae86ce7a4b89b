// Cuts the logs into pieces for the threads. A piece of a segment is only its position: the thread reads it.
import { stat } from 'node:fs/promises'
import { openSegment } from '../../audit/segment-bytes.ts'
import { readBlocks } from './blocks.ts'
import type { Piece } from './words.ts'

/** Eight frames of a compressed segment: the two at the ends of a piece are decompressed twice. */
export const PIECE_BYTES = 2 * 1024 * 1024

/** `size`: of its lines, as of now; undefined for a pipe. */
type Source = { readonly file: string; readonly size: number | undefined }

/** Opens each file, so that what cannot be read is known before the work begins. Rejects with an error that has a `path`. */
export async function sourcesOf(files: readonly string[]): Promise<Source[]> {
  const sources: Source[] = []
  for (const file of files) sources.push({ file, size: (await isPipe(file)) ? undefined : await sizeOf(file) })
  return sources
}

export async function* piecesOf(
  sources: readonly Source[],
  pieceBytes = PIECE_BYTES,
): AsyncGenerator<Piece, void, undefined> {
  for (const { file, size } of sources) {
    if (size === undefined) {
      for await (const content of readBlocks(file)) yield { kind: 'lines', content, bytes: content.byteLength }
      continue
    }
    for (let from = 0; from < size; from += pieceBytes) {
      const to = Math.min(size, from + pieceBytes)
      yield { kind: 'part', file, from, to, bytes: to - from }
    }
  }
}

/** An error that names the file, with the code of the file system or of the decompression. */
export function unreadableFile(file: string, code: string): Error {
  return Object.assign(new Error(`cannot read ${file}: ${code}`), { code, path: file })
}

/** What the error of a file or of its decompression says in a word. */
export function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return 'code' in cause ? String(cause.code) : cause.message
}

/** Or another file that can be read only once, from its beginning. */
export async function isPipe(file: string): Promise<boolean> {
  // A segment may have been compressed since it was listed; openSegment knows.
  const found = await stat(file).catch(() => undefined)
  return found !== undefined && !found.isFile() && !found.isDirectory()
}

async function sizeOf(file: string): Promise<number> {
  try {
    const segment = await openSegment(file)
    try {
      return await segment.size()
    } finally {
      await segment.close()
    }
  } catch (cause: unknown) {
    throw unreadableFile(file, codeOf(cause))
  }
}
