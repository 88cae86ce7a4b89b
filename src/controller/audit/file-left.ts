// Checks whether the path still leads to the open file: another program (logrotate) may have moved, deleted or cut it. No
// reader would find records written after such a change.
import { fstatSync, statSync, type Stats } from 'node:fs'
import type { FileLeftReason } from '../../core/file-left.ts'

/** What identifies an open file. */
type OpenFile = { readonly fd: number } & Readonly<Pick<Stats, 'dev' | 'ino'>>

/** The open file must not be written any more. It contains nothing of the batch that failed. */
export class FileLeftError extends Error {
  override readonly name = 'FileLeftError'
  readonly reason: FileLeftReason

  constructor(reason: FileLeftReason) {
    super(`the audit file was ${reason}`)
    this.reason = reason
  }
}

/**
 * Returns when `path` leads to the open file and the file has `size` bytes; takes one `stat`. It is synchronous: the kernel has
 * what it asks for in memory, since the file was written a moment ago, and another thread would take ten times as long.
 * @throws {FileLeftError} when it does not. @throws {Error} when another process wrote to the file, or when it cannot be checked.
 */
export function seeUnchanged(path: string, opened: OpenFile, size: number): void {
  const named = statSync(path, { throwIfNoEntry: false })
  if (named?.dev !== opened.dev || named.ino !== opened.ino) {
    if (fstatSync(opened.fd).nlink > 0) throw new FileLeftError('renamed')
    throw new FileLeftError(named === undefined ? 'deleted' : 'replaced')
  }
  if (named.size < size) throw new FileLeftError('truncated')
  if (named.size > size) {
    throw new Error('another process wrote to the audit file; move the file away, and records continue in a new one')
  }
}
