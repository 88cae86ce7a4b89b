// A name is durable only after its folder was synced: the name of a new file or folder, and that of a file that was moved.
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes durable what was created, removed or renamed in `folder`. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates `folder` (0700) and its missing parents; with `fsync` they are on the disk when it resolves. */
export async function makeFolder(folder: string, sync: 'fsync' | 'write'): Promise<void> {
  const topmost = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (topmost === undefined || sync === 'write') return
  const above = dirname(topmost)
  for (let parent = dirname(folder); ; parent = dirname(parent)) {
    await syncFolder(parent)
    if (parent === above) return
  }
}
