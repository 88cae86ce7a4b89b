// Imports point one way (docs/ARCHITECTURE.md). The ranks, lowest first; groups on one rank do not know each other.
import { packageOf, targetOf, type ScannedFile } from './import-scan.ts'

const RANKS: readonly (readonly string[])[] = [
  ['core'],
  ['platform'],
  ['audit', 'policy/data'],
  ['policy/engine', 'slo'],
  ['policy'],
  ['controller/config', 'controller/metrics', 'controller/readiness', 'controller/store', 'spiffe', 'worker'],
  [
    'controller/identity',
    'controller/live-policy',
    'controller/audit',
    'controller/audit-shipping',
    'controller/routing',
    'controller/dispatch',
    'controller/admission',
    'controller/chain',
    'controller/idempotency',
    'controller/slo',
    'workers',
  ],
  ['controller/mesh'],
  ['controller/call', 'controller/processes', 'controller/audit-keeper'],
  ['controller/edge', 'controller/candidate', 'controller/exceptions'],
  ['controller/steps'],
  ['controller/pipeline'],
  ['controller/routes'],
  ['controller/server', 'controller/admin'],
  ['controller/start'],
  ['controller/main', 'controller/parent'],
  ['cli'],
]

/** Files that have another rank than the folder they are in. */
const GROUP_OF_FILE: Readonly<Record<string, string>> = {
  'cli.ts': 'cli',
}

const POLICY = ['policy/data', 'policy/engine', 'policy']

/** Where a rank alone would allow too much: what these groups may import, and who may import them. */
const MAY_IMPORT_ONLY: Readonly<Record<string, readonly string[]>> = {
  'policy/engine': ['core', 'platform', 'policy/data'],
  slo: ['core', 'platform', 'policy/data'],
  policy: ['core', 'platform', 'policy/data', 'policy/engine'],
  'controller/live-policy': ['core', 'platform', ...POLICY],
  spiffe: ['core', 'platform'],
  worker: ['core', 'platform'],
  workers: ['worker'],
  cli: [
    'core',
    'platform',
    'audit',
    'slo',
    ...POLICY,
    'worker',
    'workers',
    'controller/main',
    'controller/parent',
    'controller/config',
  ],
}
const IMPORTED_ONLY_BY: Readonly<Record<string, readonly string[]>> = {
  worker: ['workers', 'cli'],
  workers: ['cli'],
}

/** The group of a file, by its path below src: `controller/routes`, `policy/data`; of a file of the controller, its name. */
export function groupOf(path: string): string {
  const [first = '', second = '', ...rest] = path.replace(/\.ts$/, '').split('/')
  const named = GROUP_OF_FILE[path]
  if (named !== undefined) return named
  if (first === 'controller') return `${first}/${second}`
  return first === 'policy' && rest.length > 0 ? `${first}/${second}` : first
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
