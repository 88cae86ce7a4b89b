// Design section 3: imports point one way. The ranks, lowest first; groups on one rank do not know each other.
import { packageOf, targetOf, type ScannedFile } from './import-scan.ts'

const RANKS: readonly (readonly string[])[] = [
  ['core'],
  ['platform'],
  [
    'controller/identity',
    'controller/policy',
    'controller/audit',
    'controller/routing',
    'controller/dispatch',
    'controller/metrics',
    'controller/config',
    'controller/readiness',
    'worker',
  ],
  ['controller/call', 'controller/edge', 'workers'],
  ['controller/steps'],
  ['controller/pipeline'],
  ['controller/routes'],
  ['controller/server', 'controller/admin'],
  ['controller/main'],
  ['cli'],
]

/** Files directly in src/controller that are not a group by their own name. */
const GROUP_OF_FILE: Readonly<Record<string, string>> = {
  'controller/metrics-candidate.ts': 'controller/metrics',
  'controller/metrics-exceptions.ts': 'controller/metrics',
  'controller/metrics-format.ts': 'controller/metrics',
  'controller/metrics-log.ts': 'controller/metrics',
  'controller/metrics-state.ts': 'controller/metrics',
  'controller/opa-url.ts': 'controller/config',
  'controller/start-exceptions.ts': 'controller/main',
  'controller/start-candidate.ts': 'controller/main',
  'controller/start-policy.ts': 'controller/main',
  'controller/admin-errors.ts': 'controller/admin',
  'controller/admin-hosts.ts': 'controller/admin',
  'controller/arrival.ts': 'controller/edge',
  'controller/drain.ts': 'controller/edge',
  'controller/handshakes.ts': 'controller/edge',
  'controller/limits.ts': 'controller/edge',
  'controller/problem.ts': 'controller/edge',
  'controller/unparsed.ts': 'controller/edge',
  'controller/unrouted.ts': 'controller/edge',
  'cli.ts': 'cli',
}

/** Where a rank alone would allow too much: what these groups may import, and who may import them. */
const MAY_IMPORT_ONLY: Readonly<Record<string, readonly string[]>> = {
  worker: ['core', 'platform'],
  workers: ['worker'],
}
const IMPORTED_ONLY_BY: Readonly<Record<string, readonly string[]>> = {
  worker: ['workers', 'cli'],
  workers: ['cli'],
}

/** The group of a file, by its path below src: `controller/policy`. */
export function groupOf(path: string): string {
  const parts = path.replace(/\.ts$/, '').split('/')
  return GROUP_OF_FILE[path] ?? parts.slice(0, parts[0] === 'controller' ? 2 : 1).join('/')
}

/** One sentence for each import that goes the wrong way, and for each file without a rank. */
export function wrongImports(files: readonly ScannedFile[]): string[] {
  return files.flatMap((file) => {
    const from = groupOf(file.path)
    if (rankOf(from) < 0) return [`${file.path} has no rank: add it to test/architecture/ranks.ts`]
    return file.imports.flatMap((item) => {
      const target = targetOf(file, item)
      if (target === undefined || mayImport(from, groupOf(target))) return []
      return [`${file.path}:${item.line} imports ${target}: ${from} may not import ${groupOf(target)}`]
    })
  })
}

/** One sentence for each import of a package that `allowed` does not list. `node:` modules count as packages. */
export function foreignPackages(files: readonly ScannedFile[], allowed: (name: string) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap((item) => {
      const name = packageOf(item)
      return name === undefined || allowed(name) ? [] : [`${file.path}:${item.line} imports ${name}`]
    }),
  )
}

function rankOf(group: string): number {
  return RANKS.findIndex((groups) => groups.includes(group))
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true
  if (MAY_IMPORT_ONLY[from]?.includes(to) === false || IMPORTED_ONLY_BY[to]?.includes(from) === false) return false
  return rankOf(to) >= 0 && rankOf(to) < rankOf(from)
}
