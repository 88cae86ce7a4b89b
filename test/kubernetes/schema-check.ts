// Objects against Kubernetes' own schemas (schemas/, made by scripts/generate-kubernetes-schemas.ts). Strict: a field that the
// API does not know is a fault, where the API server would only warn.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { nameOf, type KubeObject } from './objects.ts'

type Schema = {
  readonly $id: string
  readonly $defs: Readonly<Record<string, { readonly 'x-kubernetes-group-version-kind'?: readonly Gvk[] }>>
}
type Gvk = { readonly group: string; readonly version: string; readonly kind: string }
/** Faults of an object, as sentences; empty: it has none. */
export type CheckObject = (object: KubeObject) => string[]

/** Oldest and newest version of Kubernetes. */
export const KUBERNETES_VERSIONS = ['1.33', '1.37'] as const

/** A check against the schemas of a version of Kubernetes, and of SPIRE's own kind. */
export function schemaCheck(version: (typeof KUBERNETES_VERSIONS)[number]): CheckObject {
  const checks = new Map([...checksIn(`v${version}.json`), ...checksIn('spire-controller-manager.json')])
  return (object) => {
    const check = checks.get(`${object.apiVersion} ${object.kind}`)
    if (check === undefined)
      return [`${nameOf(object)}: Kubernetes ${version} has no ${object.apiVersion} ${object.kind}`]
    return check(object) ? [] : (check.errors ?? []).map((fault) => `${nameOf(object)}: ${inWords(fault)}`)
  }
}

function checksIn(file: string): [string, ValidateFunction][] {
  const schema = JSON.parse(readFileSync(join(import.meta.dirname, 'schemas', file), 'utf8')) as Schema
  // Formats such as int32 say how large a number is stored, and `type` says what it is.
  const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false })
  ajv.addSchema(schema)
  return Object.entries(schema.$defs).flatMap(([name, { 'x-kubernetes-group-version-kind': kinds = [] }]) => {
    const [kind] = kinds
    if (kind === undefined || kinds.length > 1) return []
    const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`
    return [[`${apiVersion} ${kind.kind}`, ajv.compile({ $ref: `${schema.$id}#/$defs/${name}` })]]
  })
}

function inWords({ instancePath, message = '', params }: ErrorObject): string {
  const { additionalProperty } = params as { additionalProperty?: string }
  return `${instancePath || '/'} ${message}${additionalProperty === undefined ? '' : ` (${additionalProperty})`}`
}
