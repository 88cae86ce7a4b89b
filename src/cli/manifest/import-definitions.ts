// Imports the definitions of workers in a read-only process, and returns them.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname, isAbsolute, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../exit.ts'
import type { CodeWorker } from './code-worker.ts'
import { compareText, formatPlace, sortFaults, type Fault, type Place } from './fault.ts'
import { endReason, failureFault } from './import-faults.ts'
import { findWorkerFiles, packageRoot, readablePaths, type WorkerFiles } from './import-files.ts'
import type { ImportedWorker, ImportMessage, ImportTask } from './import-protocol.ts'

/** `workers` is complete only without faults. */
export type Definitions = { readonly workers: readonly CodeWorker[]; readonly faults: readonly Fault[] }

type Received = {
  readonly messages: readonly ImportMessage[]
  /** Why it stopped early; undefined after `done`. */
  readonly broken: string | undefined
}

/** Time limit for one file, or one worker of the registry. */
const IMPORT_TIMEOUT_MS = 10_000
const MAX_OUTPUT_CHARS = 65_536
// Next to this file, with the same extension: .ts in the repository, .js in the package.
const CHILD = new URL(`./import-child${extname(import.meta.url)}`, import.meta.url)

/**
 * Executes the sources below `path`, a folder or one file.
 * @throws {Error} when they cannot be read
 */
export async function importDefinitions(path: string, timeoutMs = IMPORT_TIMEOUT_MS): Promise<Definitions> {
  const found = await findWorkerFiles(path)
  if (found.files.length === 0 && found.registry === undefined) return { workers: [], faults: [] }
  const received = await runChild(found, timeoutMs)
  return readMessages(received, { found, shown: (file) => shownPath(file, { path, root: found.root }) })
}

async function runChild({ root, registry, files }: WorkerFiles, timeoutMs: number): Promise<Received> {
  const child = fileURLToPath(CHILD)
  const cwd = packageRoot(root)
  const readable = new Set([...readablePaths(root), ...readablePaths(child)])
  const task: ImportTask = { files: files.map((file) => file.path), registry, stateDir: join(cwd, '.crank-import') }
  const flags = ['--permission', ...[...readable].map((item) => `--allow-fs-read=${item}${sep}`)]
  const started = spawn(process.execPath, [...flags, child, JSON.stringify(task)], {
    cwd,
    env: {},
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  try {
    return await receive(started, timeoutMs)
  } finally {
    started.kill('SIGKILL')
  }
}

async function receive(child: ChildProcess, timeoutMs: number): Promise<Received> {
  const messages: ImportMessage[] = []
  const stderr = lastOutput(child)
  const { promise: broken, resolve } = Promise.withResolvers<string | undefined>()
  const late = () => resolve(`its import has not ended after ${timeoutMs / 1000} s; do slow work on first use`)
  let timer = setTimeout(late, timeoutMs)
  child.on('message', (message: ImportMessage) => {
    messages.push(message)
    if (message.kind === 'done') resolve(undefined)
    clearTimeout(timer)
    timer = setTimeout(late, timeoutMs)
  })
  // Wait for both the last line and the last message.
  const ended = Promise.all([once(child, 'close'), once(child, 'disconnect')])
  ended.then(
    () => resolve(endReason({ code: child.exitCode, signal: child.signalCode, lastLine: stderr() })),
    (error: unknown) => resolve(messageOf(error)),
  )
  try {
    return { broken: await broken, messages }
  } finally {
    clearTimeout(timer)
  }
}

/** A definition's output is not a result; if the process ends early, the last line of stderr may give the reason. */
function lastOutput({ stdout, stderr }: ChildProcess): () => string {
  let text = ''
  stdout?.resume()
  stderr?.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(-MAX_OUTPUT_CHARS)))
  return () => text.trimEnd().split('\n').at(-1) ?? ''
}

type Reading = { readonly found: WorkerFiles; readonly shown: (file: string) => string }

function readMessages({ messages, broken }: Received, { found, shown }: Reading): Definitions {
  const isOwn = (file: string) => file === found.root || file.startsWith(`${found.root}${sep}`)
  const show = (fault: Fault): Fault => ({ ...fault, file: shown(fault.file) })
  const workers = new Map<string, ImportedWorker>()
  const faults: Fault[] = []
  let current = found.registry ?? found.root
  for (const message of messages) {
    switch (message.kind) {
      case 'begin':
        current = message.file
        break
      case 'worker':
        workers.set(`${message.worker.id} ${formatPlace(message.worker.place)}`, message.worker)
        break
      case 'unexported':
        if (isOwn(message.worker.place.file)) faults.push(unexported(message.worker))
        break
      case 'failed':
        faults.push(failureFault({ ...message, isOwn }))
        break
      case 'no-registry':
        faults.push({ file: message.file, reason: 'is not a registry: export workerNames and workerNamed' })
        break
      case 'done':
        break
      default:
        message satisfies never
    }
  }
  // Not reported twice: a process that sends a failure ends with it.
  if (broken !== undefined && messages.at(-1)?.kind !== 'failed') faults.push({ file: current, reason: broken })
  const list = [...workers.values()]
  faults.push(...doubledIds(list, shown))
  // Only without faults: a file that failed has no definitions either.
  if (faults.length === 0) faults.push(...silent(found, list))
  return { workers: toCodeWorkers(list, shown), faults: sortFaults(faults.map(show)) }
}

function unexported({ id, place }: ImportedWorker): Fault {
  return { ...place, reason: `defines ${id}, but does not export it: export what defineWorker returns` }
}

function doubledIds(workers: readonly ImportedWorker[], shown: (file: string) => string): Fault[] {
  return workers.flatMap(({ id, place }, at) => {
    const first = workers.findIndex((other) => other.id === id)
    const other = workers[first]
    if (first === at || other === undefined) return []
    const where = formatPlace({ ...other.place, file: shown(other.place.file) })
    return [{ ...place, reason: `${id} is also defined at ${where}` }]
  })
}

/** Files that call defineWorker but gave no definition. */
function silent({ files, registry }: WorkerFiles, workers: readonly ImportedWorker[]): Fault[] {
  const way = registry === undefined ? 'export it' : 'export it, or name it in the registry'
  return files
    .filter(({ path }) => !workers.some(({ place }) => place.file === path))
    .map(({ path, line }) => ({ file: path, line, reason: `exports no definition of a worker: ${way}` }))
}

function toCodeWorkers(workers: readonly ImportedWorker[], shown: (file: string) => string): CodeWorker[] {
  return workers
    .map(({ id, place, provided, requires }) => ({
      id,
      place: formatPlace({ ...place, file: shown(place.file) } satisfies Place),
      provided: sorted(provided),
      required: sorted([...provided, ...requires]),
    }))
    .sort((a, b) => compareText(a.id, b.id))
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort(compareText)
}

/** The path as the user gave the folder: relative if that was relative. Other files: relative to the current folder. */
function shownPath(file: string, { path, root }: { path: string; root: string }): string {
  if (file === root) return path
  if (file.startsWith(`${root}${sep}`)) return join(path, relative(root, file))
  const near = relative(process.cwd(), file)
  return near.startsWith('..') || isAbsolute(near) ? file : near
}
