// Finds OPA and Regal, in this order (ADR 0038):
//   1. $OPA_BIN, $REGAL_BIN                                   set but unusable: an error, never a silent next step
//   2. the cache, <tool>-<version> in $CRANK_CACHE_DIR, $XDG_CACHE_HOME/crank or ~/.cache/crank
//   3. opa, regal on PATH, if the version is the pinned one
//   4. a build into the cache, where `go` is on PATH
// The version is pinned in one place: the require line of scripts/tools/<tool>/go.mod.
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { findInstalledTool, findOnPath, toolCacheDir } from '../../src/platform/installed-tool.ts'
import { run } from './run.ts'

export type Tool = 'opa' | 'regal'
export type Pin = { readonly module: string; readonly version: string }
/** `log` gets the progress line of a build; the default writes it to stderr. */
export type FindOptions = { readonly env?: NodeJS.ProcessEnv; readonly log?: (line: string) => void }

const MIN_GO = '1.26'
// Regal learns its version from its linker; OPA has it in its source.
const TOOLS = {
  opa: { label: 'OPA', variable: 'OPA_BIN', duration: 'about two minutes', ldflags: () => [] },
  regal: {
    label: 'Regal',
    variable: 'REGAL_BIN',
    duration: 'about a minute',
    ldflags: ({ module, version }: Pin) => ['-ldflags', `-X ${module}/pkg/version.Version=${version}`],
  },
} as const

/** Path of the tool in its pinned version. @throws {Error} with one sentence that says what to install. */
export async function findTool(tool: Tool, options: FindOptions = {}): Promise<string> {
  const { env = process.env, log = logToStderr } = options
  const pin = await pinOf(tool)
  const { label, variable } = TOOLS[tool]
  const query = { name: tool, label, variable, version: pin.version, wayOut: wayOut(tool, pin), env }
  const installed = await findInstalledTool(query)
  if (installed !== undefined) return installed
  const go = await findOnPath('go', env)
  if (!go) throw new Error(`${label} ${pin.version} was not found: ${wayOut(tool, pin)}`)
  log(`building ${tool} ${pin.version}, ${TOOLS[tool].duration}, once`)
  return build(tool, pin, { go, env, target: join(toolCacheDir(env), `${tool}-${pin.version}`) })
}

/** The module and version that go.mod requires. */
export async function pinOf(tool: Tool): Promise<Pin> {
  const file = join(moduleDir(tool), 'go.mod')
  const match = /^require (\S+) v(\S+)$/m.exec(await readFile(file, 'utf8'))
  if (match?.[1] === undefined || match[2] === undefined)
    throw new Error(`${file} has no line "require <module> v<version>"`)
  return { module: match[1], version: match[2] }
}

function moduleDir(tool: Tool): string {
  return join(import.meta.dirname, tool)
}

/** Builds under a name of its own, then renames: whoever else builds or reads at the same time sees a whole file. */
async function build(
  tool: Tool,
  pin: Pin,
  to: { go: string; env: NodeJS.ProcessEnv; target: string },
): Promise<string> {
  const temporary = `${to.target}.${randomUUID()}.tmp`
  await mkdir(toolCacheDir(to.env), { recursive: true }).catch((cause: unknown) => {
    throw new Error(`the cache folder ${toolCacheDir(to.env)} cannot be made: set CRANK_CACHE_DIR to one that can`, {
      cause,
    })
  })
  const args = ['build', '-mod=readonly', '-trimpath', ...TOOLS[tool].ldflags(pin), '-o', temporary, pin.module]
  // GOFLAGS and GOWORK of the user could change what is built.
  const env = { ...to.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' }
  try {
    const { code, stderr } = await run(to.go, args, { cwd: moduleDir(tool), env })
    if (code !== 0)
      throw new Error(`building ${tool} ${pin.version} failed: ${lastLines(stderr)}\n${wayOut(tool, pin)}`)
    await rename(temporary, to.target)
    return to.target
  } finally {
    await rm(temporary, { force: true })
  }
}

function wayOut(tool: Tool, { version }: Pin): string {
  const { label, variable } = TOOLS[tool]
  return `install Go >= ${MIN_GO} (it is then built once), or install ${label} ${version} and set ${variable} to its path`
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n')
}

function logToStderr(line: string): void {
  process.stderr.write(`${line}\n`)
}

async function main(args: readonly string[]): Promise<number> {
  const [tool] = args
  if (args.length !== 1 || (tool !== 'opa' && tool !== 'regal')) {
    process.stderr.write('usage: node scripts/tools/native-tools.ts opa|regal\n')
    return 2
  }
  try {
    process.stdout.write(`${await findTool(tool)}\n`)
    return 0
  } catch (cause: unknown) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
    return 1
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
