// Finds a native tool (OPA, Regal, kustomize, Jaeger, Prometheus, promtool, NATS, SPIRE), in this order (ADR 0038):
//   1. its variable ($OPA_BIN, $JAEGER_BIN, …)   set but unusable: an error, never a silent next step
//   2. the cache, <tool>-<version> in $CRANK_CACHE_DIR, $XDG_CACHE_HOME/crank or ~/.cache/crank
//   3. the tool on PATH, if its version is the pinned one
//   4. a build into the cache, where `go` is on PATH
// The version is pinned in one place: the require line of scripts/tools/<module>/go.mod.
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { childEnvironment } from '../../src/platform/env.ts'
import { findInstalledTool, findOnPath, toolCacheDir } from '../../src/platform/installed-tool.ts'
import { withProcessLock } from '../process-lock.js'
import { run } from './run.ts'
import { isTool, TOOL_NAMES, TOOLS, type Tool } from './tool-table.ts'

export type { Tool } from './tool-table.ts'
/** `version` in Go's form, `release` in the form that users of the tool know. */
export type Pin = { readonly module: string; readonly version: string; readonly release: string }
/** `log` receives the progress line of a build; by default it goes to stderr. */
export type FindOptions = { readonly env?: NodeJS.ProcessEnv; readonly log?: (line: string) => void }

const MIN_GO = '1.26'
/** No build takes this long: older files belong to a killed build. */
const LEFT_AFTER_MS = 60 * 60_000
/** Variables for Go, and for fetching its modules. */
const FOR_GO = /^(GO[A-Z0-9]*|GIT_\w+|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY)$/i

/** Path of the tool in its pinned version. @throws {Error} with one sentence that says what to install. */
export async function findTool(tool: Tool, options: FindOptions = {}): Promise<string> {
  const { env = process.env, log = logToStderr } = options
  const pin = await pinOf(tool)
  const { label, variable, duration, ask } = TOOLS[tool]
  const { release } = pin
  const query = { name: tool, label, variable, version: release, wayOut: wayOut(tool, pin), env, ask }
  const installed = await findInstalledTool(query)
  if (installed !== undefined) return installed
  const go = await findOnPath('go', env)
  if (!go) throw new Error(`${label} ${release} was not found: ${wayOut(tool, pin)}`)
  const target = join(toolCacheDir(env), `${tool}-${release}`)
  return withProcessLock(`build ${target}`, {
    onWait: () => log(`waiting for another process that builds ${tool} ${release}`),
    async work() {
      // The process that held the lock has built it, unless the build failed.
      const built = await findInstalledTool(query)
      if (built !== undefined) return built
      log(`building ${tool} ${release}, ${duration}, once`)
      return build(tool, pin, { go, env, target })
    },
  })
}

/** The module and version that go.mod requires. */
export async function pinOf(tool: Tool): Promise<Pin> {
  const file = join(moduleDir(tool), 'go.mod')
  const [, module, version] = /^require (\S+) v(\S+)$/m.exec(await readFile(file, 'utf8')) ?? []
  if (module === undefined || version === undefined) {
    throw new Error(`${file} has no line "require <module> v<version>"`)
  }
  return { module, version, release: TOOLS[tool].release(version) }
}

function moduleDir(tool: Tool): string {
  return join(import.meta.dirname, TOOLS[tool].module)
}

/** Builds under a name with this host's name, then renames: concurrent readers see a complete file. */
async function build(
  tool: Tool,
  pin: Pin,
  to: { go: string; env: NodeJS.ProcessEnv; target: string },
): Promise<string> {
  const temporary = `${to.target}.${hostname()}.tmp`
  const folder = `${temporary}.mod`
  await mkdir(toolCacheDir(to.env), { recursive: true }).catch((cause: unknown) => {
    throw new Error(
      `the cache folder ${toolCacheDir(to.env)} cannot be created; set CRANK_CACHE_DIR to a writable folder`,
      {
        cause,
      },
    )
  })
  await removeLeftovers(to.target, [temporary, folder])
  const args = ['build', ...buildFlags(tool, pin), '-o', temporary, `${pin.module}${TOOLS[tool].package}`]
  // GOFLAGS and GOWORK of the user could change the result of the build.
  const inherited = childEnvironment(to.env, (name) => FOR_GO.test(name))
  const env = {
    ...inherited,
    CGO_ENABLED: TOOLS[tool].cgo === true ? '1' : '0',
    GOFLAGS: '-buildvcs=false',
    GOWORK: 'off',
  }
  try {
    // In a copy: -mod=mod may write to go.mod, and the work tree must not change.
    await cp(moduleDir(tool), folder, { recursive: true })
    const { code, stderr } = await run(to.go, args, { cwd: folder, env })
    if (code !== 0)
      throw new Error(`building ${tool} ${pin.release} failed: ${lastLines(stderr)}\n${wayOut(tool, pin)}`)
    await rename(temporary, to.target)
    return to.target
  } finally {
    await Promise.all([temporary, folder].map((path) => rm(path, { recursive: true, force: true })))
  }
}

/**
 * Removes files of killed builds of this tool. Files with this host's name are such files, since only the holder of
 * the lock builds. Another host that shares the cache may be building: its files, and those of versions without a lock,
 * are kept for an hour.
 */
async function removeLeftovers(target: string, own: readonly string[]): Promise<void> {
  const prefix = `${basename(target)}.`
  const names = await readdir(dirname(target))
  const found = names.filter((name) => name.startsWith(prefix)).map((name) => join(dirname(target), name))
  for (const path of found) {
    const info = await stat(path).catch(() => undefined)
    const isOld = info !== undefined && Date.now() - info.mtimeMs > LEFT_AFTER_MS
    if (isOld || own.includes(path)) await rm(path, { recursive: true, force: true })
  }
}

function buildFlags(tool: Tool, { module, release }: Pin): string[] {
  const { mod, tags, versionSymbol } = TOOLS[tool]
  const symbol = versionSymbol?.startsWith('/') === true ? module + versionSymbol : versionSymbol
  return [
    `-mod=${mod}`,
    '-trimpath',
    ...(tags === undefined ? [] : ['-tags', tags]),
    ...(symbol === undefined ? [] : ['-ldflags', `-X ${symbol}=${release}`]),
  ]
}

function wayOut(tool: Tool, { release }: Pin): string {
  const { label, variable, cgo } = TOOLS[tool]
  const builders = `Go >= ${MIN_GO}${cgo === true ? ' and a C compiler' : ''}`
  return `install ${builders} (it is then built once), or install ${label} ${release} and set ${variable} to its path`
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n')
}

function logToStderr(line: string): void {
  process.stderr.write(`${line}\n`)
}

async function main(args: readonly string[]): Promise<number> {
  const [tool] = args
  if (args.length !== 1 || !isTool(tool)) {
    process.stderr.write(`usage: node scripts/tools/native-tools.ts ${TOOL_NAMES.join('|')}\n`)
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
