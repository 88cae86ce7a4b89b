// Updates the index from the files, whoever changed them. Reads only files that have changed.
import { HandlerError } from '../../worker/call-error.ts'
import type { Folder } from './folder.ts'
import { parseZettel } from './front-matter.ts'
import type { Entry, Index } from './index-file.ts'

/** `unreadable`: files without a valid zettel, and files whose id another file has. */
export type Scan = { readonly files: number; readonly read: number; readonly unreadable: number }
type Place = { readonly folder: Folder; readonly index: Index }

// Other calls run between two chunks; a chunk is one transaction.
const CHUNK = 8
const LOT = 512

/** No other operation may write meanwhile. */
export async function scanAll({ folder, index }: Place): Promise<Scan> {
  const known = index.stamps()
  const paths = await folder.paths()
  const there = new Set(paths)
  await takeIn(
    [...known.keys()].filter((path) => !there.has(path)),
    { folder, index },
  )
  const changed: string[] = []
  for (const chunk of inChunks(paths, LOT)) {
    const stamps = await Promise.all(chunk.map((path) => folder.stampOf(path)))
    changed.push(...chunk.filter((path, at) => known.get(path) !== stamps[at]))
  }
  return { files: paths.length, read: changed.length, unreadable: await takeIn(changed, { folder, index }) }
}

/**
 * Reads these files again. No other operation may write meanwhile. Returns the number of files that are unreadable or
 * gone.
 */
export async function takeIn(paths: readonly string[], { folder, index }: Place): Promise<number> {
  let unreadable = 0
  for (const lot of inChunks(paths, LOT)) {
    await index.together(async () => {
      for (const chunk of inChunks(lot, CHUNK)) {
        const entries = await Promise.all(chunk.map((path) => readEntry(path, folder)))
        for (const [at, path] of chunk.entries()) {
          const entry = entries[at]
          if (entry === undefined) index.remove(path)
          if (entry === undefined || !index.put(entry)) unreadable += 1
        }
      }
    })
  }
  return unreadable
}

function* inChunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

async function readEntry(path: string, folder: Folder): Promise<Entry | undefined> {
  const file = await folder.read(path)
  if (file === undefined) return undefined
  try {
    return { path, stamp: file.stamp, bytes: file.bytes, zettel: parseZettel(file.text) }
  } catch (cause: unknown) {
    if (cause instanceof HandlerError) return undefined
    throw cause
  }
}
