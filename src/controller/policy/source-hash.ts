// Which Rego sources policy.wasm is made of, and their hash: a wasm that belongs to other sources is never served.
import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** `files`: names within the folder, sorted; `sha256` in lower-case hex. */
export type PolicySourceHash = { readonly sha256: string; readonly files: readonly string[] }

// OPA's own API authorisation: it protects the sidecar and is no part of a decision.
const NOT_COMPILED = 'system_authz.rego'

/** SHA-256 over name, NUL, content, NUL of every Rego file of `dir` that is compiled into policy.wasm. */
export async function policySourceHash(dir: string): Promise<PolicySourceHash> {
  const files = (await readdir(dir)).filter(isCompiled).sort()
  const hash = createHash('sha256')
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(await readFile(join(dir, file)))
      .update('\0')
  return { sha256: hash.digest('hex'), files }
}

function isCompiled(name: string): boolean {
  return name.endsWith('.rego') && !name.endsWith('_test.rego') && name !== NOT_COMPILED
}
