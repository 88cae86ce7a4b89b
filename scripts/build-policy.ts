// Compiles the Rego of policies/ to policies/policy.wasm, with the hash of its sources beside it.
//   node scripts/build-policy.ts           writes both files
//   node scripts/build-policy.ts --check   builds again and compares byte for byte; exit 1 when they differ
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compileRego, ENTRYPOINTS } from '../src/policy/engine/compile.ts'
import { policySourceHash } from '../src/policy/data/source-hash.ts'
import { findTool, pinOf } from './tools/native-tools.ts'

export type BuiltPolicy = { readonly wasm: Buffer; readonly manifest: string }

/** Compiles the Rego of `dir`; the same sources and the same OPA give the same bytes. */
export async function buildPolicy(dir: string, opa: string): Promise<BuiltPolicy> {
  const { sha256, files } = await policySourceHash(dir)
  const wasm = await compileRego(dir, files, opa)
  const manifest = {
    source_sha256: sha256,
    opa_version: (await pinOf('opa')).version,
    entrypoints: ENTRYPOINTS,
    wasm_sha256: createHash('sha256').update(wasm).digest('hex'),
  }
  return { wasm, manifest: `${JSON.stringify(manifest, null, 2)}\n` }
}

/** The fault of the built files in `dir`, as one sentence; undefined when they match the Rego. */
export async function findStalePolicy(dir: string, opa: string): Promise<string | undefined> {
  const wasm = await readFile(wasmPath(dir)).catch(() => undefined)
  const manifest = await readFile(manifestPath(dir), 'utf8').catch(() => undefined)
  if (wasm === undefined || manifest === undefined) return stale(dir, 'policy.wasm or policy.wasm.json is missing')
  const { sha256 } = await policySourceHash(dir)
  if (!manifest.includes(`"source_sha256": "${sha256}"`)) return stale(dir, 'policy.wasm was built from other Rego')
  const built = await buildPolicy(dir, opa)
  if (!built.wasm.equals(wasm)) return stale(dir, 'policy.wasm differs from what OPA builds from the Rego')
  if (built.manifest !== manifest) return stale(dir, 'policy.wasm.json does not describe policy.wasm')
  return undefined
}

function wasmPath(dir: string): string {
  return join(dir, 'policy.wasm')
}

function manifestPath(dir: string): string {
  return join(dir, 'policy.wasm.json')
}

function stale(dir: string, what: string): string {
  return `${what} (${dir}): run npm run build:policy and commit both files`
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, dir: { type: 'string' } } })
  const dir = values.dir ?? join(import.meta.dirname, '..', 'policies')
  const opa = await findTool('opa')
  if (values.check) return report(await findStalePolicy(dir, opa))
  const { wasm, manifest } = await buildPolicy(dir, opa)
  await writeFile(wasmPath(dir), wasm)
  await writeFile(manifestPath(dir), manifest)
  process.stdout.write(`${wasmPath(dir)}: ${wasm.length} bytes\n`)
  return 0
}

function report(fault: string | undefined): number {
  if (fault === undefined) return 0
  process.stderr.write(`${fault}\n`)
  return 1
}

if (import.meta.main) {
  process.exitCode = await main().catch((cause: unknown) =>
    report(cause instanceof Error ? cause.message : String(cause)),
  )
}
