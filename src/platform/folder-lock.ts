// Lets one process at a time work in a folder. For set-up that two commands may start at once; not for long-lived ownership.
import { mkdir, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const LOCK = '.lock'
const RETRY_MS = 20
/** A holder that has not finished after 10 s is taken to be dead, and its lock is taken over. */
const MAX_TRIES = 500

/** Creates `folder` (0700) if it is missing, and runs `work` while no other process holds the lock. */
export async function withFolderLock<T>(folder: string, work: () => Promise<T>, maxTries = MAX_TRIES): Promise<T> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const lock = path.join(folder, LOCK)
  for (let tries = 1; tries < maxTries && !(await tryMakeFolder(lock)); tries++) await delay(RETRY_MS)
  try {
    return await work()
  } finally {
    await rmdir(lock).catch(() => undefined)
  }
}

/** Creating a folder is atomic on every file system, including network ones. */
async function tryMakeFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder)
    return true
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw cause
  }
}
