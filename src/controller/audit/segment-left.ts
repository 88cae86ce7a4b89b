// Checks whether the path still leads to the open segment: somebody may have moved, deleted or cut it, or written to it. No
// reader would find records written after such a change.
import { fstatSync, statSync, type Stats } from 'node:fs'
import type { BreakReason } from '../../core/segment-reason.ts'

/** What identifies an open file, and who may use it. */
export type OpenFile = { readonly fd: number } & Readonly<Pick<Stats, 'dev' | 'ino' | 'mode' | 'uid'>>

/** The open segment must not be written any more. Nothing of the batch that failed was acknowledged. */
export class SegmentLeftError extends Error {
  override readonly name = 'SegmentLeftError'
  readonly reason: BreakReason

  constructor(reason: BreakReason) {
    super(`the audit segment was left: ${reason}`)
    this.reason = reason
  }
}

/**
 * Returns when `path` leads to the open file, and the file has `size` bytes and the rights it was opened with; takes one `stat`.
 * It is synchronous: the kernel has what it asks for in memory, since the file was written a moment ago, and another thread
 * would take ten times as long. @throws {SegmentLeftError} when it does not. @throws {Error} when it cannot be checked.
 */
export function seeUnchanged(path: string, opened: OpenFile, size: number): void {
  const named = statSync(path, { throwIfNoEntry: false })
  if (named?.dev !== opened.dev || named.ino !== opened.ino) {
    if (fstatSync(opened.fd).nlink > 0) throw new SegmentLeftError('renamed')
    throw new SegmentLeftError(named === undefined ? 'deleted' : 'replaced')
  }
  if (named.size < size) throw new SegmentLeftError('truncated')
  if (named.size > size) throw new SegmentLeftError('foreign_write')
  if (named.mode !== opened.mode || named.uid !== opened.uid) throw new SegmentLeftError('permissions_changed')
}
