// Writes a file completely or not at all, even if the process or machine crashes: temporary file, fsync, rename, fsync
// of the folder.
import { lstat, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

export type Sync = (handle: FileHandle, path: string) => Promise<void>
const fsync: Sync = (handle) => handle.sync()

/** Replaces `file`, with mode 0600. `draft`: temporary file on the same file system; removed afterwards. */
export async function writeDurably(opts: {
  readonly draft: string
  readonly file: string
  readonly text: string
  readonly sync?: Sync
}): Promise<void> {
  const { draft, file, text, sync = fsync } = opts
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await sync(handle, draft)
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } catch (cause: unknown) {
    await rm(draft, { force: true })
    throw cause
  }
  await syncFolder(dirname(file), sync)
}

/**
 * Creates a folder (0700) that survives a power failure. Not recursive. @throws {Error} when something else has the
 * name, such as a symbolic link
 */
export async function ensureFolder(folder: string, sync: Sync = fsync): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
    await syncFolder(dirname(folder), sync)
  } catch (cause: unknown) {
    if (errnoOf(cause) !== 'EEXIST') throw cause
    if (!(await lstat(folder)).isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' })
  }
}

/** Creates a folder (0700) and its parents, all of which survive a power failure. */
export async function ensureTree(folder: string, sync: Sync = fsync): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made), sync)
}

/** The system error code, such as `ENOSPC`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function syncFolder(folder: string, sync: Sync): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await sync(handle, folder)
  } finally {
    await handle.close()
  }
}
