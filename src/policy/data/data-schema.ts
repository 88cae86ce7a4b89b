// Checks a file of policies/data: against its schema, and against rules that a schema cannot express.
import { DATA_SCHEMAS, type DataFileName } from './data-shapes.ts'
import type { ExceptionLimits } from './exception-entries.ts'
import { parseExceptions } from './exceptions.ts'
import { schemaFaults } from './schema-faults.ts'

/** `path`: position in the file, such as `workers["spiffe://…"].owner`; empty for the whole file. */
export type DataFault = { readonly file: DataFileName; readonly path: string; readonly reason: string }

/**
 * The faults of one data file; none if it is valid. In exceptions.json a fault concerns one exception, and the others stay
 * valid; any other file with a fault is refused as a whole. `value`: from parseExactJson.
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
