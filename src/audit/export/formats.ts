// The formats of an export: a record as one line.
import { printableJson } from '../../core/printable.ts'
import { CSV_HEADER, toCsv } from './csv.ts'
import { toEcs } from './ecs.ts'
import type { Exported } from './exported.ts'
import { toOcsf } from './ocsf.ts'

export type ExportFormat = 'jsonl' | 'ecs' | 'ocsf' | 'csv'

/** `header`: what the file begins with. `line`: with its end. */
type Writer = { readonly header: string; readonly line: (exported: Exported) => string }

export const WRITERS: Readonly<Record<ExportFormat, Writer>> = {
  jsonl: { header: '', line: ({ text, record }) => (text === undefined ? jsonLine(record) : `${text}\n`) },
  ecs: { header: '', line: (exported) => jsonLine(toEcs(exported)) },
  ocsf: { header: '', line: (exported) => jsonLine(toOcsf(exported)) },
  csv: { header: CSV_HEADER, line: toCsv },
}

function jsonLine(value: unknown): string {
  return `${printableJson(JSON.stringify(value))}\n`
}
