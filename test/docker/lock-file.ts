// Which packages of package-lock.json `npm ci` brings in, by its own flags. Asked of the lock file and not of npm, whose
// `--dry-run` lists something else in every version.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './compose.ts'

type Names = Readonly<Record<string, string>>
type Entry = {
  readonly dependencies?: Names
  readonly optionalDependencies?: Names
  readonly peerDependencies?: Names
  readonly peerDependenciesMeta?: Readonly<Record<string, { optional?: boolean }>>
  readonly workspaces?: readonly string[]
}
const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Readonly<Record<string, Entry>>
}

/** The folders with a package.json of their own. */
export const workspaces: readonly string[] = packages['']?.workspaces ?? []
/** Those of the workers with heavy packages; the others need nothing that the root does not need too. */
export const heavyWorkers: readonly string[] = workspaces.filter((path) => path.startsWith('src/workers/'))

/** Folders of the packages, such as `node_modules/a`, with those for other platforms; never those of development. */
export function packagesFor(flags: readonly string[]): Set<string> {
  const withOptional = !flags.includes('--omit=optional')
  const roots = flags.includes('--workspaces=false') ? [''] : ['', ...workspaces]
  const found = new Set<string>()
  const waiting = [...roots]
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const entry = packages[at] ?? {}
    const optional = withOptional ? entry.optionalDependencies : {}
    const peers = Object.keys(entry.peerDependencies ?? {}).filter(
      (name) => entry.peerDependenciesMeta?.[name]?.optional !== true,
    )
    for (const name of [...Object.keys({ ...entry.dependencies, ...optional }), ...peers]) {
      const folder = folderOf(name, at)
      if (folder === undefined || found.has(folder)) continue
      found.add(folder)
      waiting.push(folder)
    }
  }
  return found
}

/** Where Node looks: beside the one that asks, then further and further out. */
function folderOf(name: string, from: string): string | undefined {
  for (let at = from; ; at = outside(at)) {
    const folder = join(at, 'node_modules', name)
    if (folder in packages) return folder
    if (at === '') return undefined
  }
}

function outside(folder: string): string {
  return folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))
}
