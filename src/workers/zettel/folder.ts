// The folder of the zettels: one Markdown file each, identified by its path below the root. Symbolic links are not
// followed, and names that begin with a dot are ignored.
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, readdir, realpath, rm } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { ensureFolder, ensureTree, errnoOf, writeDurably, type Sync } from './durable-file.ts'
import { MAX_FILE } from './front-matter.ts'

/** Changes whenever the file does. */
export type Stamp = string
export type Read = { readonly text: string; readonly stamp: Stamp; readonly bytes: number }

export type Folder = {
  /** Folder for files that the worker can rebuild. */
  readonly inside: string
  /** The paths of all zettels, sorted. */
  paths(): Promise<string[]>
  /** Undefined: no such file, or not a valid one (a symbolic link, too long, not UTF-8). */
  read(path: string): Promise<Read | undefined>
  stampOf(path: string): Promise<Stamp | undefined>
  /** @throws {Error} EEXIST when the file exists; nothing has changed then */
  create(path: string, text: string): Promise<Stamp>
  replace(path: string, text: string): Promise<Stamp>
  remove(path: string): Promise<void>
  /** Removes unfinished files of a killed process. Call it only while holding the lock. */
  clearDrafts(): Promise<void>
}

const DRAFTS = '.drafts'
const INSIDE = '.index'
const MAX_DEPTH = 8
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO', 'EACCES', 'EPERM'])

/** Creates the folder if it is missing. `root`: absolute. */
export async function openFolder(root: string, sync?: Sync): Promise<Folder> {
  await ensureTree(root, sync)
  const real = await realpath(root)
  const drafts = join(real, DRAFTS)
  await ensureFolder(drafts, sync)
  await ensureFolder(join(real, INSIDE), sync)

  return {
    inside: join(real, INSIDE),
    async paths() {
      const found: string[] = []
      await collect('', 1, found)
      return found.sort()
    },
    async read(path) {
      const file = fileOf(path)
      return orGone(async () => {
        if ((await realpath(dirname(file))) !== dirname(file)) return undefined
        return readWhole(file)
      })
    },
    stampOf: (path) =>
      orGone(async () => {
        const stats = await lstat(fileOf(path), { bigint: true })
        return stats.isFile() ? stampFrom(stats) : undefined
      }),
    async create(path, text) {
      const file = fileOf(path)
      await ensureFolder(dirname(file), sync)
      if ((await orGone(() => lstat(file))) !== undefined) throw Object.assign(new Error('there'), { code: 'EEXIST' })
      try {
        return await write(file, text)
      } catch (cause: unknown) {
        // The file may already be in place even though the folder's fsync failed.
        await rm(file, { force: true })
        throw cause
      }
    },
    replace: (path, text) => write(fileOf(path), text),
    remove: (path) => rm(fileOf(path), { force: true }),
    async clearDrafts() {
      for (const name of await readdir(drafts)) await rm(join(drafts, name), { recursive: true, force: true })
    },
  }

  /** Paths come from pathOf or `paths`; this is the final check. */
  function fileOf(path: string): string {
    const file = join(real, path)
    if (!file.startsWith(`${real}${sep}`) || path.includes('\0')) throw new Error('a path outside the root')
    return file
  }

  async function write(file: string, text: string): Promise<Stamp> {
    await writeDurably({ draft: join(drafts, randomUUID()), file, text, ...(sync !== undefined && { sync }) })
    return stampFrom(await lstat(file, { bigint: true }))
  }

  async function collect(path: string, depth: number, found: string[]): Promise<void> {
    for (const entry of (await orGone(() => readdir(join(real, path), { withFileTypes: true }))) ?? []) {
      if (entry.name.startsWith('.')) continue
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isFile() && entry.name.endsWith('.md')) found.push(inner)
      if (entry.isDirectory() && depth < MAX_DEPTH) await collect(inner, depth + 1, found)
    }
  }
}

type Stats = { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint; readonly ctimeNs: bigint }

function stampFrom({ ino, size, mtimeNs, ctimeNs }: Stats): Stamp {
  return [ino, size, mtimeNs, ctimeNs].join('.')
}

async function readWhole(file: string): Promise<Read | undefined> {
  const handle = await open(file, READ_FLAGS)
  try {
    const stats = await handle.stat({ bigint: true })
    if (!stats.isFile() || stats.size > MAX_FILE) return undefined
    const bytes = await handle.readFile()
    return {
      text: new TextDecoder('utf-8', { fatal: true }).decode(bytes),
      stamp: stampFrom(stats),
      bytes: bytes.length,
    }
  } catch (cause: unknown) {
    if (errnoOf(cause) === 'ERR_ENCODING_INVALID_ENCODED_DATA') return undefined
    throw cause
  } finally {
    await handle.close()
  }
}

async function orGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (cause: unknown) {
    if (GONE.has(errnoOf(cause) ?? '')) return undefined
    throw cause
  }
}
