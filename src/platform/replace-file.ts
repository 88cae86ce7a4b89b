// Replaces a file atomically: a reader sees either the old content or the new one, also after the machine fails.
import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'

/** Writes a draft beside the file, flushes it to the disk, and renames it. A failure leaves the old file, and no draft. */
export async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.${randomUUID()}`
  try {
    // 'wx': a link that somebody put there is not followed.
    const handle = await open(draft, 'wx', mode)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } catch (cause: unknown) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw cause
  }
}
