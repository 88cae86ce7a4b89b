// On the path of every call. A file that grows only by whole, durable appends: it contains either all bytes of an append or
// none. An append is acknowledged only if the path still leads to this file.
import { constants, fstatSync, fsync, type Stats } from 'node:fs'
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { AuditFileError } from './audit-file-error.ts'
import { seeUnchanged, type OpenFile } from './segment-left.ts'
import { syncFolder } from './sync-folder.ts'

/**
 * `fsync`: an append is on the disk when it resolves, by O_DSYNC: one call of the system writes and syncs. `write`: the kernel
 * has it; a power cut can lose it.
 */
export type Sync = 'fsync' | 'write'

export type DurableFile = {
  /** For reading the tail at start; write only through `append`. */
  readonly fd: number
  readonly size: () => number
  /** Cuts the file to `size` bytes, durably. */
  truncate(size: number): Promise<void>
  /**
   * On failure, removes what was written of the append and rejects; if that fails too, removes it before the next append.
   * After a SegmentLeftError the file must not be used any more: somebody moved, deleted, cut or changed it.
   */
  append(bytes: Buffer): Promise<void>
  /** Durably: nothing is written to it any more. */
  makeReadOnly(): Promise<void>
  close(): Promise<void>
}

/** The two calls that can fail half-way; an input, so that tests can replace them. */
export type FileCalls = {
  /** Resolves with the number of bytes written. */
  readonly write: (fd: number, bytes: Buffer, offset: number, length: number) => Promise<number>
  readonly ftruncate: (fd: number, size: number) => Promise<void>
}

const SYSTEM: FileCalls = { write: writeFd, ftruncate: promisify(fs.ftruncate) }
const closeFd = promisify(fs.close)
const readFd = promisify(fs.read)

/** Under load, the check after one batch also serves as the check before the next; after a longer pause it is repeated. */
const LOOK_AGAIN_MS = 50
const PRIVATE = 0o600
const READ_ONLY = 0o400
const OTHERS = 0o077

/** Opens or creates (0600) a regular file. One append at a time. @throws {AuditFileError} when it is not a regular file. */
export async function openDurableFile(file: string, sync: Sync, calls: FileCalls = SYSTEM): Promise<DurableFile> {
  // O_APPEND: bytes never end up behind a hole left by a truncation, nor over another writer's bytes.
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND
  const fd = await promisify(fs.open)(file, sync === 'fsync' ? flags | constants.O_DSYNC : flags, PRIVATE)
  const stat = fstatSync(fd)
  if (!stat.isFile()) {
    await closeFd(fd)
    throw new AuditFileError(`audit file ${file} is not a regular file`, {
      reason: 'the audit file is not a regular file',
    })
  }
  await makePrivate(fd, stat)
  if (sync === 'fsync') await syncFolder(dirname(file))
  const opened: OpenFile = rightsOf(fd)
  let size = stat.size
  let torn: Buffer | undefined
  let seenAtMs = -Infinity

  function look(expected: number): void {
    seeUnchanged(file, opened, expected)
    seenAtMs = performance.now()
  }

  /** Removes the bytes of a failed append, but nothing that another process wrote. */
  async function takeBack(bytes: Buffer): Promise<void> {
    const start = await startOfOwnTail(fd, bytes, size)
    if (start !== undefined) await calls.ftruncate(fd, start)
    torn = undefined
  }

  async function append(bytes: Buffer): Promise<void> {
    if (torn !== undefined) await takeBack(torn)
    if (fstatSync(fd).size !== size || performance.now() - seenAtMs > LOOK_AGAIN_MS) look(size)
    try {
      await writeFully(calls.write, fd, bytes)
      look(size + bytes.length)
    } catch (cause: unknown) {
      torn = bytes
      seenAtMs = -Infinity
      await takeBack(bytes).catch(() => undefined)
      throw cause
    }
    size += bytes.length
  }

  async function truncate(newSize: number): Promise<void> {
    await calls.ftruncate(fd, newSize)
    if (sync === 'fsync') await promisify(fsync)(fd)
    size = newSize
  }
  async function makeReadOnly(): Promise<void> {
    await promisify(fs.fchmod)(fd, READ_ONLY)
    if (sync === 'fsync') await promisify(fsync)(fd)
  }
  return { fd, size: () => size, truncate, append, makeReadOnly, close: () => closeFd(fd) }
}

function rightsOf(fd: number): OpenFile {
  const { dev, ino, mode, uid } = fstatSync(fd)
  return { fd, dev, ino, mode, uid }
}

/** The kernel may write only a part: at a size limit, or when a disk is nearly full. */
async function writeFully(write: FileCalls['write'], fd: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const written = await write(fd, bytes, done, bytes.length - done)
    if (written === 0) throw new Error('the file accepts no more bytes')
    done += written
  }
}

function writeFd(fd: number, bytes: Buffer, offset: number, length: number): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.write(fd, bytes, offset, length, null, (error, written) => (error === null ? resolve(written) : reject(error))),
  )
}

/**
 * Where our incomplete append, a prefix of `bytes`, begins at the end of the file: at `size`, or elsewhere if another process
 * cut the file or wrote to it meanwhile. Undefined: there is no such prefix, or another process wrote after it.
 */
async function startOfOwnTail(fd: number, bytes: Buffer, size: number): Promise<number | undefined> {
  const end = fstatSync(fd).size
  for (const start of [size, end - bytes.length]) {
    const length = end - start
    if (start < 0 || length <= 0 || length > bytes.length) continue
    const { buffer, bytesRead } = await readFd(fd, Buffer.alloc(length), 0, length, start)
    if (bytesRead === length && buffer.equals(bytes.subarray(0, length))) return start
  }
  return undefined
}

/** Makes an empty file that another program created private, if the system permits it. */
async function makePrivate(fd: number, { size, mode }: Stats): Promise<void> {
  if (size === 0 && (mode & OTHERS) !== 0) await promisify(fs.fchmod)(fd, PRIVATE).catch(() => undefined)
}
