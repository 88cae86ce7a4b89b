// Whether a file of policies/data may be used: by its schema, and by what a schema cannot say.
import { DATA_SCHEMAS, type DataFileName } from './data-shapes.ts'
import { parseExceptions, type ExceptionLimits } from './exceptions.ts'
import { schemaFaults } from './schema-faults.ts'

/** `path`: place in the file, such as `workers["spiffe://…"].owner`; empty for the whole file. */
export type DataFault = { readonly file: DataFileName; readonly path: string; readonly reason: string }

/**
 * The faults of one data file; none if it may be used as it is. Of exceptions.json each concerns one exception, and the
 * others hold; any other file with a fault is refused. `value`: from parseExactJson.
 */
export function checkPolicyData(name: DataFileName, value: unknown, limits: ExceptionLimits = {}): DataFault[] {
  const found =
    name === 'exceptions.json' ? parseExceptions(value, limits).faults : schemaFaults(DATA_SCHEMAS[name], value)
  return found.map((fault) => ({ file: name, ...fault }))
}

/** One fault as a line. */
export function describeFault({ file, path, reason }: DataFault): string {
  return `${file}: ${path === '' ? '' : `${path} `}${reason}`
}
