// `crank worker new <name>`: code, test, registry line and manifest of a new worker, in a checkout. All is checked before
// the first file is written.
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CapabilityError, makeCapability, parseCapability, type Capability } from '../../core/capability.ts'
import { CliError, EXIT, messageOf, type ExitCode } from '../exit.ts'
import { generateManifest } from '../manifest/run.ts'
import { paint, say } from '../output.ts'
import { registryLine, testSource, workerSource } from './templates.ts'

type NewWorkerOptions = { capability?: string | undefined; owner: string }

const NAME = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/
const MAX_NAME = 40
const WORKERS = join('src', 'workers')
const REGISTRY = join(WORKERS, 'registry.ts')
/** The end of the table of workers. */
const TABLE_END = /^}$/m

/** Writes the files and says what to do next. @throws {CliError} `usage` for a name, capability or folder that cannot be used */
export async function newWorker(given: string, options: NewWorkerOptions, now: () => number): Promise<ExitCode> {
  const name = checkName(given)
  const worker = { name, capability: checkCapability(options.capability ?? `run:${name}`) }
  const registry = await readRegistry()
  const files = {
    [join(WORKERS, `${name}.ts`)]: workerSource(worker),
    [join('test', 'workers', `${name}.test.ts`)]: testSource(worker),
  }
  const taken = [...Object.keys(files), join(WORKERS, name)].find((path) => existsSync(path))
  if (taken !== undefined) throw new CliError(EXIT.usage, `${taken} is there already: take another name`)

  for (const [path, text] of Object.entries(files)) {
    await writeFile(path, text, { flag: 'wx' })
    say(`${paint('green', '+', process.stderr)} ${path}`)
  }
  await writeFile(REGISTRY, addLine(registry, registryLine(name)))
  say(`${paint('green', '~', process.stderr)} ${REGISTRY}`)
  const exit = await generateManifest({ workers: WORKERS, owner: options.owner, output: 'table' }, now)
  for (const line of nextSteps(name, worker.capability)) say(line)
  return exit
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
    const hint = 'run it in the root of a checkout of this project'
    throw new CliError(EXIT.usage, `${REGISTRY} cannot be used: ${messageOf(cause)}`, { cause, hint })
  }
}

function addLine(registry: string, line: string): string {
  return registry.replace(TABLE_END, () => `${line}}`)
}

function nextSteps(name: string, capability: Capability): string[] {
  return [
    '',
    'Next, with the demo running in another terminal (npm run demo):',
    `  npm run crank -- worker ${name} --dev`,
    `  npm run crank -- invoke ${capability.replace(':', ' ')} --data '{"text":"hello"}' --as ${name}`,
    `Its test: npx vitest run test/workers/${name}.test.ts`,
  ]
}
