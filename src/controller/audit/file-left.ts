// Whether the file that is open is still the one that its path leads to: somebody may have moved, deleted or cut it
// (logrotate, at night). Records behind such a change would be found by nobody.
import { fstatSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { FileLeftReason } from '../../core/file-left.ts'

/** The open file is not to be written any more. Nothing of the batch that met this is in it. */
export class FileLeftError extends Error {
  override readonly name = 'FileLeftError'
  readonly reason: FileLeftReason

  constructor(reason: FileLeftReason) {
    super(`the audit file was ${reason}`)
    this.reason = reason
  }
}

/**
 * Resolves when `path` leads to the open file and that has `size` bytes: one `stat`. @throws {FileLeftError} when it does
 * not. @throws {Error} when somebody else wrote into it, or when it cannot be seen.
 */
export async function seeUnchanged(path: string, fd: number, size: number): Promise<void> {
  const opened = fstatSync(fd, { bigint: true })
  const named = await stat(path, { bigint: true }).catch(unlessAbsent)
  if (named?.dev !== opened.dev || named.ino !== opened.ino) {
    if (fstatSync(fd).nlink > 0) throw new FileLeftError('renamed')
    throw new FileLeftError(named === undefined ? 'deleted' : 'replaced')
  }
  if (named.size < size) throw new FileLeftError('truncated')
  if (named.size > size) {
    throw new Error('another process wrote into the audit file; move the file away, records go on in a new one')
  }
}

function unlessAbsent(cause: unknown): undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
}
