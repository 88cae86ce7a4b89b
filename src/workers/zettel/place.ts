// The open folder and its index: opened at first use, one writer at a time, rescanned from time to time.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sync } from './durable-file.ts'
import { openFolder, type Folder } from './folder.ts'
import { isDamaged, openIndex, type Index } from './index-file.ts'
import { createQueries, type Queries } from './queries.ts'
import { scanAll, type Scan } from './scan.ts'

export type OpenPlace = { readonly folder: Folder; readonly index: Index; readonly queries: Queries }
export type Place = {
  /**
   * Opens the folder, and scans it if the last scan is older than `rescanMs`. `around` runs the scan if one is needed.
   */
  ready(around: (scan: () => Promise<Scan>) => Promise<void>): Promise<OpenPlace>
  /** Runs one at a time, including scans. */
  alone<T>(run: () => Promise<T>): Promise<T>
  /** After an error: drops a damaged index, which the next `ready` rebuilds. */
  failed(place: OpenPlace, cause: unknown): Promise<void>
  close(): Promise<void>
}

const INDEX_FILE = 'zettels.sqlite'
const RESCAN_MS = 60_000

/** `root`: absolute; may be missing. `now`: milliseconds. */
type PlaceOptions = {
  readonly root: string
  readonly now: () => number
  readonly rescanMs?: number | undefined
  readonly sync?: Sync | undefined
}

export function createPlace(opts: PlaceOptions): Place {
  let opening: Promise<OpenPlace> | undefined
  let scannedMs: number | undefined
  let lastWriter: Promise<unknown> = Promise.resolve()

  return { ready, alone, failed, close }

  async function ready(around: (scan: () => Promise<Scan>) => Promise<void>): Promise<OpenPlace> {
    const place = await opened()
    if (isFresh()) return place
    await alone(async () => {
      if (isFresh()) return
      const nowMs = opts.now()
      await around(() => scanAll(place))
      scannedMs = nowMs
    })
    return place
  }

  // A clock may also be set back.
  function isFresh(): boolean {
    return scannedMs !== undefined && Math.abs(opts.now() - scannedMs) < (opts.rescanMs ?? RESCAN_MS)
  }

  function opened(): Promise<OpenPlace> {
    opening ??= open(opts).catch((cause: unknown) => {
      opening = undefined
      throw cause
    })
    return opening
  }

  function alone<T>(run: () => Promise<T>): Promise<T> {
    const result = lastWriter.then(run)
    lastWriter = result.catch(() => undefined)
    return result
  }

  async function failed(place: OpenPlace, cause: unknown): Promise<void> {
    if (!isDamaged(cause)) return
    await alone(async () => {
      // Another call may have handled it already.
      if (!place.index.database.isOpen) return
      await shut()
      const file = join(place.folder.inside, INDEX_FILE)
      for (const suffix of ['', '-wal']) await rm(`${file}${suffix}`, { force: true })
    })
  }

  async function shut(): Promise<void> {
    const place = await opening?.catch(() => undefined)
    opening = undefined
    scannedMs = undefined
    if (place?.index.database.isOpen === true) place.index.close()
  }

  async function close(): Promise<void> {
    await alone(shut)
  }
}

async function open({ root, sync }: PlaceOptions): Promise<OpenPlace> {
  const folder = await openFolder(root, sync)
  const index = openIndex(join(folder.inside, INDEX_FILE))
  try {
    // Safe now that this process holds the lock.
    await folder.clearDrafts()
    return { folder, index, queries: createQueries(index.database) }
  } catch (cause: unknown) {
    index.close()
    throw cause
  }
}
