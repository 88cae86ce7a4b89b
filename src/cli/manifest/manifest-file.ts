// worker_manifests.json on disk: its path, reading, and replacing.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError, EXIT } from '../exit.ts'
import { policyDirOf } from '../places.ts'
import { EMPTY_MANIFEST, ManifestError, parseManifest, type ManifestFile } from './entries.ts'

/** The given file, or the one of CRANK_POLICY_DIR. */
export function manifestPath(given: string | undefined): string {
  return given ?? join(policyDirOf({}), 'data/worker_manifests.json')
}

/** A missing file is a manifest without workers. @throws {CliError} `usage` when it cannot be read or is malformed */
export async function readManifestFile(path: string): Promise<ManifestFile> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY_MANIFEST
    throw new CliError(EXIT.usage, `the manifest cannot be read: ${String(cause)}`, { cause })
  })
  return withManifestErrors(path, () => parseManifest(text))
}

/** Errors of `work` about the content of the file become a CliError that names the file. */
export function withManifestErrors<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (cause: unknown) {
    if (cause instanceof ManifestError) throw new CliError(EXIT.usage, `${path}: ${cause.message}`, { cause })
    throw cause
  }
}

/** Atomic: a controller that watches the file must never read a part of it. @throws {CliError} `usage` */
export async function replaceManifest(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`
  try {
    await writeFile(draft, text)
    await rename(draft, path)
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, `the manifest cannot be written: ${String(cause)}`, { cause })
  }
}

/** `deployed_at` of a new entry. */
export function deploymentTime(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19)}Z`
}
