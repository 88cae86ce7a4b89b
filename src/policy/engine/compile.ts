// Builds policy.wasm from Rego with OPA: for `npm run build:policy`, and in memory for a controller whose policy.wasm was
// built from other Rego. Only reads the folder, and never builds OPA itself.
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { findInstalledTool } from '../../platform/installed-tool.ts'
import { run } from '../../platform/run-program.ts'
import type { PolicyFiles } from '../data/policy-files.ts'
import { policySourceHash } from '../data/source-hash.ts'

/** The version that scripts/tools/opa/go.mod pins. */
export const OPA_VERSION = '1.22.2'
/** The entry points of the wasm. */
export const ENTRYPOINTS = ['crank/capability_access/decision', 'crank/worker_registration/decision'] as const

/** The part of PolicyFiles about the Rego. */
type RegoFiles = Pick<PolicyFiles, 'dir' | 'sourceSha256'>

/** policy.wasm is missing or was not built from the Rego beside it, and no OPA is available to build it. */
export class StalePolicyError extends Error {
  override readonly name = 'StalePolicyError'
}

/** OPA cannot compile the Rego; `message` is from OPA. */
export class PolicyCompileError extends Error {
  override readonly name = 'PolicyCompileError'
}

const TAR_BLOCK = 512
const BUILD_LIMIT_MS = 60_000

/**
 * The compiled form of `files`: policy.wasm of the folder if it matches, else a new build by OPA. `onCompile` gets the reason
 * why the file could not be used.
 * @throws {StalePolicyError} without a matching policy.wasm and without OPA @throws {PolicyCompileError}
 */
export async function loadWasm(
  files: RegoFiles,
  { env, onCompile }: { env: NodeJS.ProcessEnv; onCompile?: ((reason: string) => void) | undefined },
): Promise<Buffer> {
  try {
    return await readWasm(files)
  } catch (cause: unknown) {
    if (!(cause instanceof StalePolicyError) || (await findOpa(env)) === undefined) throw cause
    onCompile?.(cause.message)
    return compilePolicy(files, { env })
  }
}

/**
 * Builds the Rego of `files` with OPA; the same sources and the same OPA give the same bytes.
 * @throws {StalePolicyError} without OPA @throws {PolicyCompileError} when the Rego does not compile, or changed meanwhile
 */
export async function compilePolicy(
  { dir, sourceSha256 }: RegoFiles,
  options: { env: NodeJS.ProcessEnv },
): Promise<Buffer> {
  const opa = await findOpa(options.env)
  if (opa === undefined) throw new StalePolicyError(`OPA ${OPA_VERSION} was not found: ${WAY_TO_OPA}`)
  const before = await policySourceHash(dir)
  const wasm = await compileRego(dir, before.files, opa)
  const after = await policySourceHash(dir)
  if (before.sha256 !== sourceSha256 || after.sha256 !== sourceSha256) {
    throw new PolicyCompileError(`the Rego of ${dir} changed while it was compiled`)
  }
  return wasm
}

/** `opa build` of these files of `dir`. @throws {PolicyCompileError} */
export async function compileRego(dir: string, files: readonly string[], opa: string): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'crank-policy-'))
  try {
    const bundle = join(work, 'bundle.tar.gz')
    const entrypoints = ENTRYPOINTS.flatMap((name) => ['-e', name])
    // Runs inside the folder: file names become part of the wasm, and must not depend on where the folder is.
    const args = ['build', '-t', 'wasm', ...entrypoints, '-o', bundle, ...files]
    const { code, stdout, stderr } = await run(opa, args, { cwd: dir, timeoutMs: BUILD_LIMIT_MS })
    if (code !== 0) throw new PolicyCompileError(`opa build failed in ${dir}: ${(stdout + stderr).trim()}`)
    return readFromTar(gunzipSync(await readFile(bundle)), '/policy.wasm')
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** OPA in the pinned version, from $OPA_BIN, the tool cache or PATH. @throws {Error} when $OPA_BIN is unusable */
export function findOpa(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return findInstalledTool({
    name: 'opa',
    label: 'OPA',
    variable: 'OPA_BIN',
    version: OPA_VERSION,
    wayOut: WAY_TO_OPA,
    env,
  })
}

const WAY_TO_OPA = `install OPA ${OPA_VERSION} and set OPA_BIN to its path`

/** policy.wasm of the folder. @throws {StalePolicyError} unless it is the compiled form of `files` */
export async function readWasm({ dir, sourceSha256 }: RegoFiles): Promise<Buffer> {
  const path = join(dir, 'policy.wasm')
  const wayOut = `run "npm run build:policy", set OPA_URL, or ${WAY_TO_OPA}`
  const [bytes, about] = await Promise.all([readFile(path), readFile(`${path}.json`, 'utf8')]).catch(
    (cause: unknown) => {
      throw new StalePolicyError(`${path} or ${path}.json cannot be read: ${wayOut}`, { cause })
    },
  )
  const built = parseManifest(about)
  if (built?.source_sha256 !== sourceSha256) {
    throw new StalePolicyError(`${path} was not built from the Rego beside it: ${wayOut}`)
  }
  if (built.wasm_sha256 !== createHash('sha256').update(bytes).digest('hex')) {
    throw new StalePolicyError(`${path} is not the file that ${path}.json describes: ${wayOut}`)
  }
  return bytes
}

function parseManifest(text: string): { source_sha256?: unknown; wasm_sha256?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** One file of a tar archive (POSIX ustar: name at 0, size in octal at 124, content padded to 512 bytes). */
function readFromTar(tar: Buffer, name: string): Buffer {
  for (let at = 0; at + TAR_BLOCK <= tar.length;) {
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8) || 0
    const start = at + TAR_BLOCK
    if (tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '') === name) return tar.subarray(start, start + size)
    at = start + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK
  }
  throw new PolicyCompileError(`opa build produced a bundle without ${name}`)
}
