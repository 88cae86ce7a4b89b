// The Rego sources that policy.wasm is built from, and their hash: a wasm built from other sources is never used.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isHidden, policyFileNames } from './folder-names.ts'

/** `files`: sorted names within the folder; `sha256` in lower-case hex. */
type PolicySourceHash = { readonly sha256: string; readonly files: readonly string[] }

// Only for the sidecar: the authorisation of OPA's own API, and the report on its data. They do not affect decisions.
const NOT_COMPILED = ['system_authz.rego', 'opa_revision.rego']

/** The hash over the Rego files of `dir` that are compiled into policy.wasm. */
export async function policySourceHash(dir: string): Promise<PolicySourceHash> {
  const files = await policyFileNames(dir, isCompiled)
  const sources = await Promise.all(files.map(async (name) => ({ name, content: await readFile(join(dir, name)) })))
  return { sha256: hashSources(sources), files }
}

/** SHA-256 over name, NUL, content, NUL of each source, sorted by name; hex. */
export function hashSources(sources: readonly { readonly name: string; readonly content: Buffer | string }[]): string {
  const hash = createHash('sha256')
  const sorted = [...sources].sort((one, other) => (one.name < other.name ? -1 : 1))
  for (const { name, content } of sorted) hash.update(`${name}\0`).update(content).update('\0')
  return hash.digest('hex')
}

/** Whether a file of this name belongs to the compiled policy. */
export function isCompiled(name: string): boolean {
  return name.endsWith('.rego') && !isHidden(name) && !name.endsWith('_test.rego') && !NOT_COMPILED.includes(name)
}
