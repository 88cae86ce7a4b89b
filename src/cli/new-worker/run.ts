// `crank worker new <name>` creates a worker. In a checkout: its code, test, registry line and manifest; elsewhere: a
// stand-alone project. Everything is checked before the first file is written.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { CapabilityError, makeCapability, parseCapability, type Capability } from '../../core/capability.ts'
import { CliError, EXIT, messageOf, type ExitCode } from '../exit.ts'
import { paint, say } from '../output.ts'
import { nextInProject, projectFiles, projectFolder } from './project.ts'
import { registryLine, testSource, workerSource, type NewWorker } from './templates.ts'

type NewWorkerOptions = { capability?: string | undefined; owner: string }

const NAME = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/
const MAX_NAME = 40
const WORKERS = join('src', 'workers')
const REGISTRY = join(WORKERS, 'registry.ts')
/** The end of the table of workers. */
const TABLE_END = /^}$/m

/** Writes the files and prints the next steps. @throws {CliError} `usage` for an unusable name, capability or folder */
export async function newWorker(given: string, options: NewWorkerOptions, now: () => number): Promise<ExitCode> {
  const name = checkName(given)
  const worker = { name, capability: checkCapability(options.capability ?? `run:${name}`) }
  const checkout = checkoutAround(process.cwd())
  if (checkout === undefined) return newProject(worker)
  if (checkout === process.cwd()) return newInCheckout(worker, options, now)
  const hint = 'or leave the checkout, to create a stand-alone project'
  throw new CliError(EXIT.usage, `this folder is inside a checkout: run it in its root, ${checkout}`, { hint })
}

/** The root of the checkout of Crank around the folder. */
function checkoutAround(folder: string): string | undefined {
  if (existsSync(join(folder, REGISTRY))) return folder
  const parent = dirname(folder)
  return parent === folder ? undefined : checkoutAround(parent)
}

async function newInCheckout(worker: NewWorker, { owner }: NewWorkerOptions, now: () => number): Promise<ExitCode> {
  const { name, capability } = worker
  const { generateManifest } = await import('../manifest/run.ts')
  const registry = await readRegistry()
  const files = {
    [join(WORKERS, `${name}.ts`)]: workerSource(worker),
    [join('test', 'workers', `${name}.test.ts`)]: testSource(worker),
  }
  refuseTaken([...Object.keys(files), join(WORKERS, name)])
  await writeFiles(files)
  await writeFile(
    REGISTRY,
    registry.replace(TABLE_END, () => `${registryLine(name)}}`),
  )
  say(`${paint('green', '~', process.stderr)} ${REGISTRY}`)
  const exit = await generateManifest({ workers: WORKERS, owner, output: 'table' }, now)
  for (const line of nextInCheckout(name, capability)) say(line)
  return exit
}

async function newProject(worker: NewWorker): Promise<ExitCode> {
  const folder = projectFolder(worker)
  refuseTaken([folder])
  const entries = Object.entries(projectFiles(worker)).map(([path, text]) => [join(folder, path), text])
  await writeFiles(Object.fromEntries(entries) as Record<string, string>)
  for (const line of nextInProject(worker)) say(line)
  return EXIT.ok
}

function refuseTaken(paths: readonly string[]): void {
  const taken = paths.find((path) => existsSync(path))
  if (taken !== undefined) throw new CliError(EXIT.usage, `${taken} already exists: choose another name`)
}

async function writeFiles(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text, { flag: 'wx' })
    say(`${paint('green', '+', process.stderr)} ${relative('', path)}`)
  }
}

function checkName(given: string): string {
  const name = given.replaceAll('-', '_')
  if (name !== 'new' && name.length <= MAX_NAME && NAME.test(name)) return name
  const allowed = `words of a-z and 0-9 with _ between them, letter first, at most ${MAX_NAME} characters, and not "new"`
  throw new CliError(EXIT.usage, `"${given}" is not a name for a worker: must be ${allowed}`)
}

function checkCapability(text: string): Capability {
  try {
    const [verb = '', word, ...rest] = text.split(':')
    return word === undefined || rest.length > 0 ? parseCapability(text) : makeCapability(verb, word)
  } catch (cause: unknown) {
    if (!(cause instanceof CapabilityError)) throw cause
    throw new CliError(EXIT.usage, `--capability ${text}: ${cause.message}`, { hint: 'such as --capability make:card' })
  }
}

async function readRegistry(): Promise<string> {
  try {
    const text = await readFile(REGISTRY, 'utf8')
    if (TABLE_END.test(text)) return text
    throw new Error('its table of workers was not found')
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `${REGISTRY} cannot be used: ${messageOf(cause)}`, { cause })
  }
}

function nextInCheckout(name: string, capability: Capability): string[] {
  return [
    '',
    'Next, with the demo running in another terminal (npm run demo):',
    `  npm run crank -- worker ${name} --dev`,
    `  npm run crank -- invoke ${capability.replace(':', ' ')} --data '{"text":"hello"}' --as ${name}`,
    `Its test: npx vitest run test/workers/${name}.test.ts`,
  ]
}
