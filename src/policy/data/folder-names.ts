// What of a folder belongs to the policy: files by their ending. Editors, systems and syncs leave other things there, whose
// names begin with a dot (locks, companions, half-made copies), or that are folders, pipes or links to nothing.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dirent } from 'node:fs'

/** Names of the files of `dir` that are wanted, sorted; links are followed. @throws {Error} when `dir` cannot be read */
export async function policyFileNames(dir: string, isWanted: (name: string) => boolean): Promise<string[]> {
  const found = await readdir(dir, { withFileTypes: true }).catch((cause: unknown) => inWords(dir, cause))
  const entries = found.filter(({ name }) => !isHidden(name) && isWanted(name))
  const isKept = await Promise.all(entries.map((entry) => isFile(dir, entry)))
  return entries
    .filter((_entry, index) => isKept[index])
    .map(({ name }) => name)
    .sort()
}

/** Whether a name is one that editors and systems give to what is theirs. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

/** The error keeps its code. */
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
    // A link to nothing is as good as no file. Whatever else is wrong, reading it will say.
    return code !== 'ENOENT' && code !== 'ELOOP'
  }
}
