// Whether the file that is open is still the one that its path leads to: somebody may have moved, deleted or cut it
// (logrotate, at night). Records behind such a change would be found by nobody.
import { fstatSync, stat as statCall, type Stats } from 'node:fs'
import { promisify } from 'node:util'
import type { FileLeftReason } from '../../core/file-left.ts'

/** What an open file is known by. */
type OpenFile = { readonly fd: number } & Readonly<Pick<Stats, 'dev' | 'ino'>>

// That of node:fs/promises takes twice the time; there is one for each batch.
const stat = promisify(statCall)

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
export async function seeUnchanged(path: string, opened: OpenFile, size: number): Promise<void> {
  const named = await stat(path).catch(unlessAbsent)
  if (named?.dev !== opened.dev || named.ino !== opened.ino) {
    if (fstatSync(opened.fd).nlink > 0) throw new FileLeftError('renamed')
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
