// The process that imports definitions: `node --permission`, an empty environment, and this file. It sends its results
// and exits.
import { fileURLToPath, pathToFileURL } from 'node:url'
import { WORKER_DEFINED, type WorkerDefinition } from '../../worker/define.ts'
import { exportedDefinitions, looksLikeDefinition } from './exported-definitions.ts'
import type { Place } from './fault.ts'
import type { ImportedWorker, ImportMessage, ImportTask, SentError } from './import-protocol.ts'

type Registry = { readonly workerNames: readonly string[]; readonly workerNamed: (name: string) => unknown }

const MAX_CAUSES = 8
/** Deep enough to find the caller of defineWorker, and the package in which an error began. */
const STACK_FRAMES = 50

// A definition may replace process.send; only the original is used.
const channel = process.send?.bind(process)

/** Every definition of this process by its position. */
const made = new Map<WorkerDefinition, Place | undefined>()
const reported = new Set<WorkerDefinition>()
let current: { file: string; worker?: string } = { file: '' }
/** The last native addon that `current` tried to load. */
let addon: string | undefined

if (channel !== undefined) {
  await main(JSON.parse(process.argv[2] ?? '{}') as ImportTask)
  // Nothing that a definition has started may keep the process alive.
  process.exit()
}

async function main({ files, registry, stateDir }: ImportTask): Promise<void> {
  Error.stackTraceLimit = STACK_FRAMES
  process.once('disconnect', () => process.exit(1))
  process.channel?.unref()
  const onLoose = (error: unknown): void => {
    void failed(error).then(() => process.exit(1))
  }
  process.on('uncaughtException', onLoose).on('unhandledRejection', onLoose)
  Reflect.set(globalThis, WORKER_DEFINED, (definition: WorkerDefinition) => {
    made.set(definition, callerOfDefineWorker(new Error().stack ?? ''))
  })
  noteAddons()
  if (registry !== undefined) await attempt({ file: registry }, () => readRegistry(registry, stateDir))
  for (const file of files) {
    await attempt({ file }, async () => {
      for (const definition of exportedDefinitions(await load(file))) await report('worker', definition)
    })
  }
  for (const definition of made.keys()) if (!isReported(definition.id)) await report('unexported', definition)
  await send({ kind: 'done' })
}

// Some packages replace the refusal of their addon by their own error, which does not give the cause.
function noteAddons(): void {
  const load = process.dlopen.bind(process)
  process.dlopen = (...args: Parameters<typeof process.dlopen>): void => {
    addon = args[1]
    load(...args)
  }
}

async function readRegistry(file: string, stateDir: string): Promise<void> {
  const registry = await load(file)
  if (!isRegistry(registry)) {
    await send({ kind: 'no-registry', file })
    return
  }
  for (const worker of registry.workerNames) {
    await attempt({ file, worker }, async () => {
      const make = registry.workerNamed(worker)
      const definition: unknown =
        typeof make === 'function' ? await Reflect.apply(make, undefined, [{ stateDir }]) : make
      if (!looksLikeDefinition(definition)) throw new Error('is not a definition: return what defineWorker returns')
      await report('worker', definition)
    })
  }
}

async function attempt(what: { file: string; worker?: string }, work: () => Promise<void>): Promise<void> {
  current = what
  addon = undefined
  try {
    await send({ kind: 'begin', ...what })
    await work()
  } catch (error: unknown) {
    await failed(error)
  }
}

async function failed(error: unknown): Promise<void> {
  await send({ kind: 'failed', ...current, error: toSent(error), addon })
}

async function report(kind: 'worker' | 'unexported', definition: WorkerDefinition): Promise<void> {
  if (reported.has(definition)) return
  reported.add(definition)
  const { id, capabilities, requires } = definition
  const provided = capabilities.map(({ capability }) => capability)
  const worker: ImportedWorker = { id, provided, requires, place: placeOf(definition) ?? { file: current.file } }
  await send({ kind, worker })
}

/** The position of a definition; for a copy with more members, that of the original. */
function placeOf(definition: WorkerDefinition): Place | undefined {
  return made.get(definition) ?? [...made].find(([{ id }]) => id === definition.id)?.[1]
}

function isReported(workerId: string): boolean {
  return [...reported].some(({ id }) => id === workerId)
}

/** Resolves when it is written: the process may end right after it. */
function send(message: ImportMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  channel?.(message, undefined, undefined, () => resolve(undefined))
  return promise
}

async function load(file: string): Promise<Readonly<Record<string, unknown>>> {
  return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>
}

function isRegistry(module: Readonly<Record<string, unknown>>): module is Registry & Record<string, unknown> {
  const { workerNames, workerNamed } = module
  return Array.isArray(workerNames) && typeof workerNamed === 'function'
}

function callerOfDefineWorker(stack: string): Place | undefined {
  const frames = stack.split('\n')
  const caller = frames[frames.findIndex((frame) => /^\s*at (\S+\.)?defineWorker /.test(frame)) + 1] ?? ''
  const [, url = '', line, column] = /(file:\/\/.+?):(\d+):(\d+)\)?$/.exec(caller) ?? []
  return url === '' ? undefined : { file: fileURLToPath(url), line: Number(line), column: Number(column) }
}

function toSent(error: unknown, depth = 0): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: '' }
  const { code, permission, resource } = error as { code?: unknown; permission?: unknown; resource?: unknown }
  return {
    name: error.name,
    message: error.message,
    stack: error.stack ?? '',
    code: textOf(code),
    permission: textOf(permission),
    resource: textOf(resource),
    cause: error.cause === undefined || depth >= MAX_CAUSES ? undefined : toSent(error.cause, depth + 1),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
