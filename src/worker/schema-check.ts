// JSON Schema checks as functions. They never coerce, fill in or remove anything.
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { printable, quoted } from '../core/printable.ts'

/** Undefined if the value fits, else the fault, e.g. `input/options/exclamations must be <= 10`. */
export type SchemaCheck = (value: unknown) => string | undefined

const MAX_FAULTS = 3

/**
 * Compiles a JSON Schema (draft 2020-12; a TypeBox schema is one). `name` denotes the whole value in messages.
 * @throws {Error} when the schema itself is invalid: an unknown keyword or format, an invalid pattern.
 */
export function createSchemaCheck(schema: object, name: string): SchemaCheck {
  const ajv = new Ajv2020({ allErrors: false, strict: true, strictTypes: false, strictTuples: false, logger: false })
  ajvFormats.default(ajv)
  const validate = ajv.compile(schema)
  return (value) =>
    validate(value) ? undefined : (validate.errors ?? []).slice(0, MAX_FAULTS).map(sentence).join(', ')

  function sentence({ instancePath, message = 'is invalid', keyword, params }: ErrorObject): string {
    const member: unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : undefined
    const detail = typeof member === 'string' ? ` (${quoted(member)})` : ''
    return `${name}${printable(instancePath.slice(0, 256))} ${message}${detail}`
  }
}
