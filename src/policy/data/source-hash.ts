// Which Rego sources policy.wasm is made of, and their hash: a wasm that belongs to other sources is never served.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isHidden, policyFileNames } from './folder-names.ts'

/** `files`: names within the folder, sorted; `sha256` in lower-case hex. */
type PolicySourceHash = { readonly sha256: string; readonly files: readonly string[] }

// What only the sidecar has: the authorisation of OPA's own API, and what it says of its data. No part of a decision.
const NOT_COMPILED = ['system_authz.rego', 'opa_revision.rego']

/** The hash of every Rego file of `dir` that is compiled into policy.wasm. */
export async function policySourceHash(dir: string): Promise<PolicySourceHash> {
  const files = await policyFileNames(dir, isCompiled)
  const sources = await Promise.all(files.map(async (name) => ({ name, content: await readFile(join(dir, name)) })))
  return { sha256: hashSources(sources), files }
}

/** SHA-256 over name, NUL, content, NUL of each source, in the order of their names; hex. */
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
