// JSON Schema checks as functions. Nothing is coerced, filled in or removed: a value fits or it does not.
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { printable, quoted } from '../core/printable.ts'

/** Undefined if the value fits, else what is wrong with it, e.g. `input/options/exclamations must be <= 10`. */
export type SchemaCheck = (value: unknown) => string | undefined

const MAX_FAULTS = 3

/**
 * Compiles a JSON Schema (draft 2020-12, a TypeBox schema is one). `name` stands for the whole value in what is said.
 * @throws {Error} when the schema itself is wrong: an unknown keyword or format, a bad pattern.
 */
export function createSchemaCheck(schema: object, name: string): SchemaCheck {
  const ajv = new Ajv2020({ allErrors: false, strict: true, strictTypes: false, strictTuples: false, logger: false })
  ajvFormats.default(ajv)
  const validate = ajv.compile(schema)
  return (value) =>
    validate(value) ? undefined : (validate.errors ?? []).slice(0, MAX_FAULTS).map(sentence).join(', ')

  function sentence({ instancePath, message = 'is wrong', keyword, params }: ErrorObject): string {
    const member: unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : undefined
    const detail = typeof member === 'string' ? ` (${quoted(member)})` : ''
    return `${name}${printable(instancePath.slice(0, 256))} ${message}${detail}`
  }
}
