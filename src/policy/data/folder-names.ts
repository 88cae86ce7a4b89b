// Which entries of a folder belong to the policy: files with certain extensions. Editors, operating systems and sync tools
// leave other entries there: hidden files (locks, metadata, incomplete copies), folders, pipes and broken links.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dirent } from 'node:fs'

/** The sorted names of the wanted files in `dir`; follows links. @throws {Error} when `dir` cannot be read */
export async function policyFileNames(dir: string, isWanted: (name: string) => boolean): Promise<string[]> {
  const found = await readdir(dir, { withFileTypes: true }).catch((cause: unknown) => inWords(dir, cause))
  const entries = found.filter(({ name }) => !isHidden(name) && isWanted(name))
  const isKept = await Promise.all(entries.map((entry) => isFile(dir, entry)))
  return entries
    .filter((_entry, index) => isKept[index])
    .map(({ name }) => name)
    .sort()
}

/** Whether a name is hidden, as the files of editors and operating systems are. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

/** Throws a readable error with the original code. */
function inWords(dir: string, cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException
  const what = code === 'ENOENT' ? 'no such folder' : code === 'ENOTDIR' ? 'not a folder' : undefined
  if (what === undefined) throw cause
  throw Object.assign(new Error(`${dir}: ${what}`, { cause }), { code })
}

async function isFile(dir: string, entry: Dirent): Promise<boolean> {
  if (entry.isFile()) return true
  try {
    return (await stat(join(dir, entry.name))).isFile()
  } catch (cause: unknown) {
    const { code } = cause as NodeJS.ErrnoException
    // A broken link counts as no file. Any other error will be reported when the file is read.
    return code !== 'ENOENT' && code !== 'ELOOP'
  }
}
