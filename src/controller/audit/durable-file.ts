// A file that only grows by whole, durable appends: either all bytes of an append are in it, or none are.
import { constants, fstatSync, fsync } from 'node:fs'
import * as fs from 'node:fs'
import { open as openHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { AuditFileError } from './audit-file-error.ts'

/** `fsync`: an append is on the disk when it resolves. `write`: it is with the kernel; a power cut can lose it. */
export type Sync = 'fsync' | 'write'

export type DurableFile = {
  /** For reading the tail at start; whoever writes goes through `append`. */
  readonly fd: number
  /** Cuts the file to `size` bytes, durably. */
  truncate(size: number): Promise<void>
  /** Rejects after having taken back what was written of it, or, if that fails too, takes it back before the next append. */
  append(bytes: Buffer): Promise<void>
  close(): Promise<void>
}

/** The three calls that can fail half-way; an input, so that a test can make them. */
export type FileCalls = {
  readonly write: (
    fd: number,
    bytes: Buffer,
    offset: number,
    length: number,
    position: number,
  ) => Promise<{ bytesWritten: number }>
  readonly ftruncate: (fd: number, size: number) => Promise<void>
  readonly fdatasync: (fd: number) => Promise<void>
}

const SYSTEM: FileCalls = {
  write: promisify(fs.write),
  ftruncate: promisify(fs.ftruncate),
  fdatasync: promisify(fs.fdatasync),
}
const closeFd = promisify(fs.close)

/** Opens or creates (0600) a regular file. One append at a time. @throws {AuditFileError} when it is something else. */
export async function openDurableFile(file: string, sync: Sync, calls: FileCalls = SYSTEM): Promise<DurableFile> {
  const fd = await promisify(fs.open)(file, constants.O_RDWR | constants.O_CREAT, 0o600)
  const stat = fstatSync(fd)
  if (!stat.isFile()) {
    await closeFd(fd)
    throw new AuditFileError(`audit file ${file} is not a regular file`)
  }
  if (sync === 'fsync') await syncFolder(dirname(file))
  let size = stat.size
  let torn = false

  async function takeBack(): Promise<void> {
    await calls.ftruncate(fd, size)
    torn = false
  }

  async function append(bytes: Buffer): Promise<void> {
    if (torn) await takeBack()
    refuseIfChangedByOthers(fd, size)
    try {
      await writeFully(calls.write, fd, bytes, size)
      if (sync === 'fsync') await calls.fdatasync(fd)
    } catch (cause: unknown) {
      torn = true
      await takeBack().catch(() => undefined)
      throw cause
    }
    size += bytes.length
  }

  async function truncate(newSize: number): Promise<void> {
    await calls.ftruncate(fd, newSize)
    if (sync === 'fsync') await promisify(fsync)(fd)
    size = newSize
  }
  return { fd, truncate, append, close: () => closeFd(fd) }
}

/** The kernel may take less than all: at a size limit, or when a disk is nearly full. */
async function writeFully(write: FileCalls['write'], fd: number, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await write(fd, bytes, done, bytes.length - done, position + done)
    if (bytesWritten === 0) throw new Error('the file takes no more bytes')
    done += bytesWritten
  }
}

/** Records in a deleted file are lost, and records behind somebody else's bytes belong to no chain: neither is written. */
function refuseIfChangedByOthers(fd: number, size: number): void {
  const stat = fstatSync(fd)
  if (stat.nlink === 0) throw new Error('the file was deleted; restart the controller')
  if (stat.size !== size) throw new Error('the file was changed by another process; restart the controller')
}

/** A new file's name is durable only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await openHandle(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
