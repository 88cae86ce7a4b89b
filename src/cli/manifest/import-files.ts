// Finds the files that define workers, and the paths that the importing process may read.
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The files to import; paths are absolute and without symbolic links. */
export type WorkerFiles = {
  /** The folder, or that of the one file. */
  readonly root: string
  readonly registry: string | undefined
  readonly files: readonly { readonly path: string; readonly line: number }[]
}

const SOURCE = /\.[cm]?[jt]s$/
const NO_SOURCE = /\.d\.[cm]?ts$|\.(test|spec)\.[cm]?[jt]s$/
const REGISTRY = /^registry\.[jt]s$/
/** A call, not the function itself. */
const CALL = /(?<!function )\bdefineWorker\s*\(/
const COMMENT = /^\s*(\/\/|\/?\*)/

/**
 * The files below `path` that call defineWorker, and its registry; or that one file.
 * @throws {Error} when it cannot be read, or has no source file
 */
export async function findWorkerFiles(path: string): Promise<WorkerFiles> {
  const isFile = (await stat(path)).isFile()
  const root = realpathSync(path)
  if (isFile) return { root, registry: undefined, files: [{ path: root, line: (await callIn(root)) ?? 1 }] }
  const names = (await readdir(root, { recursive: true })).filter(isSource).sort()
  if (names.length === 0) throw new Error(`${path}: no source file found`)
  const registry = names.find((name) => REGISTRY.test(name))
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(root, name), line: await callIn(join(root, name)) })),
  )
  return {
    root,
    registry: registry === undefined ? undefined : join(root, registry),
    files: files.flatMap(({ path: file, line }) => (line === undefined ? [] : [{ path: file, line }])),
  }
}

/**
 * The package that contains `path`, the node_modules of it and of every parent folder, and the targets of their links,
 * without duplicates.
 */
export function readablePaths(path: string): string[] {
  const root = packageRoot(path)
  const modules = ancestors(root)
    .map((dir) => join(dir, 'node_modules'))
    .filter((dir) => existsSync(dir))
  return [...new Set([root, ...modules.flatMap((dir) => [dir, realpathSync(dir), ...linksIn(dir)])])]
}

/** The folder of the nearest package.json; without one, the folder of the sources. */
export function packageRoot(path: string): string {
  const dir = SOURCE.test(path) ? dirname(path) : path
  return ancestors(dir).find((above) => existsSync(join(above, 'package.json'))) ?? dir
}

function isSource(name: string): boolean {
  return SOURCE.test(name) && !NO_SOURCE.test(name) && !/(^|\/)(node_modules|\.[^/]*)\//.test(name)
}

/** The line of the first call of defineWorker; undefined when there is none. */
async function callIn(file: string): Promise<number | undefined> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  const at = lines.findIndex((line) => CALL.test(line) && !COMMENT.test(line))
  return at < 0 ? undefined : at + 1
}

/** The folder itself, then each of its parents. */
function ancestors(dir: string): string[] {
  const above = dirname(dir)
  return above === dir ? [dir] : [dir, ...ancestors(above)]
}

function linksIn(modules: string): string[] {
  return readdirSync(modules, { withFileTypes: true }).flatMap((entry) => {
    const path = join(modules, entry.name)
    if (entry.isSymbolicLink()) return existsSync(path) ? [realpathSync(path)] : []
    return entry.isDirectory() && entry.name.startsWith('@') ? linksIn(path) : []
  })
}
