// Reads the policy folder as one unit: its files, a hash of each,
// and a signature with which the next check detects a change.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { markOfStats } from '../../platform/file-lookout.ts'
import { policyFileNames } from '../../policy/data/folder-names.ts'
import { dataFileNames, loadPolicyFiles, type PolicyFiles } from '../../policy/data/policy-files.ts'
import type { BuiltEngine } from '../../policy/engine/engine-kind.ts'
import type { PolicyDelta } from './policy-delta.ts'
import { isCompiled } from '../../policy/data/source-hash.ts'

/** `hashes`: SHA-256 of each Rego file that decides and of each data file, by name within the folder. */
export type PolicyFolder = {
  readonly files: PolicyFiles
  readonly hashes: ReadonlyMap<string, string>
  readonly signature: string
  /** `files.dataText` in UTF-8, to compare the next files with. */
  readonly data?: Uint8Array<SharedArrayBuffer>
  /** The differences from the files in force when these were read. */
  readonly changed?: PolicyDelta
  /** The embedded engine, as far as another thread could build it. */
  readonly built?: BuiltEngine | undefined
}

/** Files were written while they were read: the result may be a mix of old and new files. */
export class FolderChangedError extends Error {
  override readonly name = 'FolderChangedError'
}

/** Reads the folder. @throws {PolicyFilesError | FolderChangedError | Error} when it cannot be used */
export async function loadPolicyFolder(dir: string, nowMs: number): Promise<PolicyFolder> {
  const signature = await signatureOf(dir)
  const files = await loadPolicyFiles(dir, nowMs)
  const hashes = await hashFiles(dir)
  if ((await signatureOf(dir)) !== signature) throw new FolderChangedError(`${dir} was written to while it was read`)
  return { files, hashes, signature }
}

/**
 * Changes whenever a Rego source, policy.wasm or a data file is written, replaced, added or removed. Follows links, since
 * Kubernetes swaps a linked folder.
 */
export async function signatureOf(dir: string): Promise<string> {
  const paths = [...(await policyFileNames(dir, isWatched)), ...(await dataNames(dir))]
  const stats = await Promise.all(paths.map((path) => stat(join(dir, path), { bigint: true })))
  return stats.map((found, index) => `${paths[index] ?? ''} ${markOfStats(found)}`).join()
}

/** The size of the data files. */
export async function dataBytes(dir: string): Promise<number> {
  const stats = await Promise.all((await dataNames(dir)).map((path) => stat(join(dir, path))))
  return stats.reduce((sum, { size }) => sum + size, 0)
}

async function hashFiles(dir: string): Promise<Map<string, string>> {
  const paths = [...(await policyFileNames(dir, isCompiled)), ...(await dataNames(dir))]
  const entries = paths.map(async (path) => [path, sha256(await readFile(join(dir, path)))] as const)
  return new Map(await Promise.all(entries))
}

async function dataNames(dir: string): Promise<string[]> {
  const names = await dataFileNames(join(dir, 'data'))
  return names.map((name) => `data/${name}`)
}

// The sources, and what was built from them: a rebuilt policy.wasm saves compiling it again.
function isWatched(name: string): boolean {
  return isCompiled(name) || name === 'policy.wasm' || name === 'policy.wasm.json'
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
