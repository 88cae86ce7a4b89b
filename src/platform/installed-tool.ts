// Finds a native tool in its pinned version, in this order:
//   1. the variable ($OPA_BIN)                   if it is set but unusable: an error, never a silent next step
//   2. the cache, <tool>-<version> in $CRANK_CACHE_DIR, $XDG_CACHE_HOME/crank or ~/.cache/crank
//   3. the tool on PATH, if its version is the pinned one
// This file builds and downloads nothing; scripts/tools/native-tools.ts adds the build.
import { access, constants, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { run } from './run-program.ts'

/** `label`: its name in sentences. `wayOut`: how a user gets it; ends the error message. */
type ToolQuery = {
  readonly name: string
  readonly label: string
  readonly variable: string
  readonly version: string
  readonly wayOut: string
  readonly env: NodeJS.ProcessEnv
  /** How to ask it for its version; default: as for OPA. The first group of `answer` is the version. */
  readonly ask?: VersionQuestion
}
type VersionQuestion = { readonly args: readonly string[]; readonly answer: RegExp }

const VERSION_LIMIT_MS = 10_000
const AS_OPA: VersionQuestion = { args: ['version'], answer: /^Version:\s*v?(\S+)/m }

/** Path of the tool, undefined when it is not installed. @throws {Error} when its variable names something unusable. */
export async function findInstalledTool(query: ToolQuery): Promise<string | undefined> {
  const { name, version, env, ask = AS_OPA } = query
  const named = setting(env, query.variable)
  if (named !== undefined) return checkNamed(query, named)
  const cached = join(toolCacheDir(env), `${name}-${version}`)
  if (await isExecutable(cached)) return cached
  return findOnPath(name, env, async (path) => (await versionOf(path, ask)) === version)
}

/** Where built tools are kept. */
export function toolCacheDir(env: NodeJS.ProcessEnv): string {
  const own = setting(env, 'CRANK_CACHE_DIR')
  if (own !== undefined) return own
  return join(setting(env, 'XDG_CACHE_HOME') ?? join(setting(env, 'HOME') ?? homedir(), '.cache'), 'crank')
}

/** The first program of that name on PATH for which `fits` is true. */
export async function findOnPath(
  name: string,
  env: NodeJS.ProcessEnv,
  fits: (path: string) => Promise<boolean> = () => Promise.resolve(true),
): Promise<string | undefined> {
  for (const dir of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, name)
    if (dir !== '' && (await isExecutable(path)) && (await fits(path))) return path
  }
  return undefined
}

async function checkNamed(
  { label, variable, version, wayOut, ask = AS_OPA }: ToolQuery,
  path: string,
): Promise<string> {
  if (!(await isExecutable(path))) throw new Error(`${variable}=${path} is not an executable file: ${wayOut}`)
  const found = await versionOf(path, ask)
  if (found !== version) {
    throw new Error(`${variable}=${path} is version ${found ?? 'unknown'}, but ${label} ${version} is needed`)
  }
  return path
}

async function versionOf(path: string, { args, answer }: VersionQuestion): Promise<string | undefined> {
  const finished = await run(path, args, { timeoutMs: VERSION_LIMIT_MS }).catch(() => undefined)
  return finished?.code === 0 ? answer.exec(finished.stdout)?.[1] : undefined
}

/** An empty variable counts as not set. */
function setting(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] === '' ? undefined : env[name]
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
