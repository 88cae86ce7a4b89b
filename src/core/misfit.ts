// Says what is wrong with a value that does not fit a schema.
import type { Validator } from 'typebox/compile'

/** The first misfit, as `<path> <sentence>`: for the message of an error. */
export function misfitOf(validator: Pick<Validator, 'Errors'>, value: unknown): string {
  const [fault] = validator.Errors(value)
  return `${fault?.instancePath ?? ''} ${fault?.message ?? 'is invalid'}`.trim()
}
