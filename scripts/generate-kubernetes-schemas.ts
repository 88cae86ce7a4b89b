// Writes test/kubernetes/schemas: Kubernetes' own schemas of the kinds that deploy/kubernetes has, taken from the wheel of the
// PyPI package kubernetes-validate (Apache-2.0, as Kubernetes is), which contains those of every version. By hand:
//
//   pip download --no-deps --dest /tmp kubernetes-validate==1.37.0
//   node scripts/generate-kubernetes-schemas.ts /tmp/kubernetes_validate-1.37.0-py3-none-any.whl
//
// The files are checked in, so that the tests need neither Python nor a network.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'

/** The oldest version that the manifests can run on (init containers that keep running are stable there), and the newest. */
const VERSIONS = ['1.33', '1.37']
const WHEEL_SHA256 = '85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9'
const KINDS = [
  'io.k8s.api.apps.v1.Deployment',
  'io.k8s.api.apps.v1.StatefulSet',
  'io.k8s.api.core.v1.ConfigMap',
  'io.k8s.api.core.v1.Namespace',
  'io.k8s.api.core.v1.Service',
  'io.k8s.api.core.v1.ServiceAccount',
  'io.k8s.api.networking.v1.NetworkPolicy',
  'io.k8s.api.policy.v1.PodDisruptionBudget',
]
const DIR = join(import.meta.dirname, '../test/kubernetes/schemas')

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
type Definitions = Readonly<Record<string, Json>>

/** The strict form: a field that is not in the schema is a fault. */
function definitionsOf(wheel: Buffer, version: string): Definitions {
  const path = `kubernetes_validate/kubernetes-json-schema/v${version}.0-local-strict/_definitions.json`
  const { $defs } = JSON.parse(entryOf(wheel, path).toString('utf8')) as { $defs: Definitions }
  return $defs
}

/** The definitions of our kinds and what they refer to, without descriptions, and without null as a value. */
function reachable(all: Definitions): Definitions {
  const found = new Map<string, Json>()
  const visit = (name: string): void => {
    if (found.has(name)) return
    const definition = all[name]
    if (definition === undefined) throw new Error(`the schemas have no definition ${name}`)
    found.set(name, stripped(definition))
    for (const [, next = ''] of JSON.stringify(definition).matchAll(/"\$ref":"#\/\$defs\/([^"]+)"/g)) visit(next)
  }
  for (const kind of KINDS) visit(kind)
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function stripped(value: Json): Json {
  if (Array.isArray(value)) return value.map(stripped)
  if (value === null || typeof value !== 'object') return value
  const kept = Object.entries(value).filter(([name, inner]) => !(name === 'description' && typeof inner === 'string'))
  return Object.fromEntries(kept.map(([name, inner]) => [name, name === 'type' ? withoutNull(inner) : stripped(inner)]))
}

/** A property may be called `type` as well; its value is an object then. */
function withoutNull(type: Json): Json {
  if (!Array.isArray(type)) return typeof type === 'object' ? stripped(type) : type
  const names = (type as readonly Json[]).filter((name) => name !== 'null')
  const [only] = names
  return names.length === 1 && only !== undefined ? only : names
}

/** One file of a zip archive. @throws {Error} when it has no such file */
function entryOf(archive: Buffer, path: string): Buffer {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  let at = archive.readUInt32LE(end + 16)
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const nameLength = archive.readUInt16LE(at + 28)
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    if (name === path) return contentAt(archive, archive.readUInt32LE(at + 42), archive.readUInt32LE(at + 20))
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
  }
  throw new Error(`the archive has no file ${path}`)
}

function contentAt(archive: Buffer, header: number, size: number): Buffer {
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28)
  const bytes = archive.subarray(start, start + size)
  return archive.readUInt16LE(header + 8) === 0 ? bytes : inflateRawSync(bytes)
}

async function main([file, ...more]: readonly string[]): Promise<number> {
  if (file === undefined || more.length > 0) {
    process.stderr.write('usage: node scripts/generate-kubernetes-schemas.ts <wheel of kubernetes-validate>\n')
    return 2
  }
  const wheel = await readFile(file)
  const sha256 = createHash('sha256').update(wheel).digest('hex')
  if (sha256 !== WHEEL_SHA256) {
    process.stderr.write(`${file} has the SHA-256 ${sha256}, but ${WHEEL_SHA256} is needed; download it again\n`)
    return 1
  }
  for (const version of VERSIONS) {
    const schema = { $id: `kubernetes-${version}`, $comment: `kubernetes-validate, SHA-256 ${sha256}` }
    const text = JSON.stringify({ ...schema, $defs: reachable(definitionsOf(wheel, version)) })
    await writeFile(join(DIR, `v${version}.json`), `${text.replaceAll('},"io.k8s.', '},\n"io.k8s.')}\n`)
  }
  return 0
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
