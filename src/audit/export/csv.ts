// Records as CSV (RFC 4180) with fixed columns, for spreadsheets: a cell that a spreadsheet would run as a formula is text.
import { printable } from '../../core/printable.ts'
import { isText, reasonsIn } from '../record-members.ts'
import type { Exported } from './exported.ts'

const COLUMNS = [
  'timestamp',
  'slot',
  'seq',
  'event',
  'decision_id',
  'trace_id',
  'requester_spiffe_id',
  'capability',
  'decision',
  'mode',
  'reason_codes',
  'reasons',
  'exception',
  'policy_revision',
  'engine',
  'worker_id',
  'status',
  'outcome',
  'error',
  'duration_ms',
  'attempts',
  'origin',
  'depth',
  'on_behalf_of',
  'remote_address',
  'count',
  'hash',
] as const
type Column = (typeof COLUMNS)[number]

const FORMULA = /^[=+\-@\t\r]/
const NEEDS_QUOTES = /[",\r\n']|^\s|\s$/
const END = '\r\n'

export const CSV_HEADER = COLUMNS.join(',') + END

export function toCsv(exported: Exported): string {
  return COLUMNS.map((column) => cell(valueOf(exported, column))).join(',') + END
}

function valueOf({ slot, record }: Exported, column: Column): unknown {
  const reasons = reasonsIn(record)
  switch (column) {
    case 'slot':
      return slot
    case 'reason_codes':
      return reasons.map(({ code }) => code).join(' ')
    case 'reasons':
      return [...reasons.map(({ message }) => message), record['reason']].filter(isText).join('; ')
    default:
      return record[column]
  }
}

function cell(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string') return ''
  const shown = printable(value)
  const text = FORMULA.test(value) ? `'${shown}` : shown
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
