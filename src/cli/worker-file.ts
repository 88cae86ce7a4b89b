// `crank worker ./my.ts`: the definition that a file exports, and the copy of the runtime that made it.
import { createRequire } from 'node:module'
import { stat } from 'node:fs/promises'
import { basename, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isWorkerDefinition, type WorkerDefinition } from '../worker/define.ts'
import { startWorkerProcess } from '../worker/main.ts'
import { CliError, EXIT, messageOf } from './exit.ts'

/**
 * `start` belongs to the copy of the runtime that made the definition: another copy does not know its errors and byte
 * schemas.
 */
type WorkerFile = { readonly definition: WorkerDefinition; readonly start: typeof startWorkerProcess }
type Runtime = { readonly isWorkerDefinition: (value: unknown) => boolean; readonly startWorkerProcess: unknown }
type Exports = Readonly<Record<string, unknown>>

const PACKAGE = '@crank/worker'
const ENDINGS = ['.ts', '.mts', '.js', '.mjs']
const OWN: Runtime = { isWorkerDefinition, startWorkerProcess }
const HOW_TO_EXPORT = 'export it: export const worker = defineWorker({ … })'

/** Whether the argument of `crank worker` names a file, not a bundled worker. */
export function isWorkerFile(name: string): boolean {
  return name.includes('/') || ENDINGS.includes(extname(name))
}

/**
 * Runs the code of the file. `wanted`: the name of the export, if the file has several definitions.
 * @throws {CliError} `usage` for a file that is missing, throws, or does not export exactly one definition
 */
export async function loadWorkerFile(path: string, wanted?: string): Promise<WorkerFile> {
  await checkFile(path)
  const exports = await importFile(path)
  const { runtime, names } = await definitionsOf(path, exports)
  const name = choose(path, { names, wanted, exports })
  return {
    definition: exports[name] as WorkerDefinition,
    start: runtime.startWorkerProcess as typeof startWorkerProcess,
  }
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    const isMissing = cause instanceof Error && 'code' in cause && ['ENOENT', 'ENOTDIR'].includes(String(cause.code))
    throw new CliError(EXIT.usage, isMissing ? `${path}: no such file` : `${path}: ${messageOf(cause)}`, { cause })
  })
  if (!found.isFile()) throw new CliError(EXIT.usage, `${path} is not a file`, { hint: 'give the file of the worker' })
}

async function importFile(path: string): Promise<Exports> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Exports
  } catch (cause: unknown) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const hint = code === 'ERR_MODULE_NOT_FOUND' ? 'install the packages of its project: npm install' : undefined
    const details = placeOf(cause, path)
    throw new CliError(EXIT.usage, `${path} cannot be loaded: ${messageOf(cause)}`, { cause, hint, details })
  }
}

/** The line of the file that threw, or that called the code that threw. */
function placeOf(cause: unknown, path: string): string[] {
  const stack = cause instanceof Error ? (cause.stack ?? '') : ''
  const start = stack.indexOf(`${basename(path)}:`)
  const position = start < 0 ? undefined : /^[^:]*:\d+(:\d+)?/.exec(stack.slice(start))?.[0]
  return position === undefined ? [] : [`at ${position}`]
}

async function definitionsOf(path: string, exports: Exports): Promise<{ runtime: Runtime; names: string[] }> {
  const of = (runtime: Runtime): string[] =>
    Object.keys(exports).filter((name) => runtime.isWorkerDefinition(exports[name]))
  const own = of(OWN)
  const other = own.length > 0 ? undefined : await packageOf(path)
  return other === undefined ? { runtime: OWN, names: own } : { runtime: other, names: of(other) }
}

/** The package that the file imports from, if its project has it. */
async function packageOf(path: string): Promise<Runtime | undefined> {
  let entry: string
  try {
    entry = createRequire(resolve(path)).resolve(PACKAGE)
  } catch {
    return undefined
  }
  return (await import(pathToFileURL(entry).href)) as Runtime
}

type Choice = { readonly names: readonly string[]; readonly wanted: string | undefined; readonly exports: Exports }

function choose(path: string, { names, wanted, exports }: Choice): string {
  const [first, ...more] = names
  const list = names.join(', ')
  if (first === undefined) throw new CliError(EXIT.usage, nothingIn(path, exports), { hint: HOW_TO_EXPORT })
  if (wanted !== undefined) {
    if (names.includes(wanted)) return wanted
    throw new CliError(EXIT.usage, `${path} does not export a worker definition "${wanted}": it exports ${list}`)
  }
  if (more.length === 0) return first
  const hint = `choose one: crank worker ${path} --export ${first}`
  throw new CliError(EXIT.usage, `${path} exports several worker definitions: ${list}`, { hint })
}

function nothingIn(path: string, exports: Exports): string {
  // Names that Node adds to the exports of a CommonJS file; a file without exports counts as one.
  const added = 'module.exports' in exports ? ['default', 'module.exports'] : []
  const names = Object.keys(exports).filter((name) => !added.includes(name))
  const found = names.length === 0 ? 'it exports nothing' : `its exports are ${names.join(', ')}`
  return `${path} exports no worker definition: ${found}`
}
