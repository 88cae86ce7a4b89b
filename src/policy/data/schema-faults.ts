// The faults of a value against a TypeBox schema, with the schema's own messages: `patternErrorMessage` and `errorMessage`,
// which editors show too.
import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { placeOf, type PlacedFault } from './fault-place.ts'
import { isRecord } from './json-object.ts'

/** `parts`: the keys and indexes that lead to it. `isMember`: the member itself is the fault (unknown or missing), not its value. */
type LocatedFault = PlacedFault & { readonly parts: readonly (string | number)[]; readonly isMember: boolean }

type Issue = {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: object
  readonly message: string
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'an object',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  boolean: 'true or false',
}

const validators = new Map<TSchema, Validator>()

/** The faults of `value`, at most a handful; none if it matches. */
export function schemaFaults(schema: TSchema, value: unknown): PlacedFault[] {
  return locatedFaults(schema, value).map(({ path, reason }) => ({ path, reason }))
}

/** The same, for a value whose text has line numbers. */
export function locatedFaults(schema: TSchema, value: unknown): LocatedFault[] {
  const validator = validators.get(schema) ?? Compile(schema)
  validators.set(schema, validator)
  if (validator.Check(value)) return []
  const faults = (validator.Errors(value) as readonly Issue[]).flatMap((issue) => describe(schema, issue))
  return [...new Map(faults.map((fault) => [`${fault.path} ${fault.reason}`, fault])).values()]
}

function describe(schema: TSchema, { keyword, schemaPath, instancePath, params, message }: Issue): LocatedFault[] {
  const parts = pointerParts(instancePath).map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  const node = nodeAt(schema, schemaPath)
  const said = wordsOf(node)
  const { requiredProperties = [], additionalProperties = [] } = params as Readonly<Record<string, string[]>>
  const value = (reason: string): LocatedFault[] => [located(parts, reason, false)]
  const members = (names: readonly string[], reason: string): LocatedFault[] =>
    names.map((name) => located([...parts, name], reason, true))
  switch (keyword) {
    // Reported again as additionalProperties.
    case 'boolean':
      return []
    case 'required':
      return members(requiredProperties, 'is missing')
    case 'additionalProperties':
      return members(additionalProperties, said ?? 'is unknown')
    case 'enum':
      return value(`must be one of ${(params as { allowedValues: string[] }).allowedValues.join(', ')}`)
    case 'type':
      // The message of an object with free keys is about its keys.
      return value(node['type'] === 'object' ? 'must be an object' : (said ?? kindOf(params, message)))
    case 'minLength':
    case 'minItems':
      return value('must not be empty')
    default:
      return value(said ?? message)
  }
}

function located(parts: readonly (string | number)[], reason: string, isMember: boolean): LocatedFault {
  return { path: parts.reduce<string>(placeOf, ''), parts, reason, isMember }
}

/** The part of the schema that did not match. */
function nodeAt(schema: TSchema, schemaPath: string): Readonly<Record<string, unknown>> {
  const node = pointerParts(schemaPath).reduce<unknown>((at, part) => (isRecord(at) ? at[part] : undefined), schema)
  return isRecord(node) ? node : {}
}

function wordsOf(node: Readonly<Record<string, unknown>>): string | undefined {
  const words = node['patternErrorMessage'] ?? node['errorMessage']
  return typeof words === 'string' ? words : undefined
}

function kindOf(params: object, message: string): string {
  const kind = KINDS[String((params as { type?: unknown }).type)]
  return kind === undefined ? message : `must be ${kind}`
}

/** The parts of a JSON pointer (RFC 6901), with or without a leading `#`. */
function pointerParts(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}
