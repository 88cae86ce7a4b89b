// `crank audit search`: the calls and other events that match, with a cursor for the next page.
import type { AuditHit, Position } from '../audit/index/hits.ts'
import type { AuditPage, AuditSearch, Cursor } from '../audit/index/search.ts'
import type { AuditQuery } from '../audit/index/traits.ts'
import type { AuditRecord } from '../audit/reader.ts'
import { RULING_NAMES } from '../core/ruling.ts'
import { OUTCOMES } from '../core/outcome.ts'
import { auditLogsOf, type AuditOptions } from './audit-config.ts'
import { searchLogs } from './audit-index.ts'
import { formatIds, formatRecord, parseTraceId } from './audit-tail.ts'
import { createDamageReport } from './damage-report.ts'
import { environment } from './environment.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { parseCap, parseCount, parseSince } from './option-values.ts'
import { say, writeLine } from './output.ts'
import { isDecisionId } from './policy-ask/record.ts'

type SearchOptions = AuditOptions & {
  decision?: string | undefined
  trace?: string | undefined
  who?: string | undefined
  cap?: string | undefined
  outcome?: string | undefined
  worker?: string | undefined
  status?: string | undefined
  text?: string | undefined
  since?: string | undefined
  until?: string | undefined
  limit: string
  order: 'newest' | 'oldest'
  after?: string | undefined
  index: boolean
}

/** Prints the records of all that matches; `negative` when nothing does. */
export async function searchAudit(options: SearchOptions): Promise<ExitCode> {
  const query = toQuery(options, Date.now())
  const print = (records: readonly AuditRecord[]): void => {
    for (const one of records) writeLine(options.output === 'json' ? one.text : lineOf(one))
  }
  const id = idIn(options)
  if (id !== undefined) refuseFilters(options, id.name)
  const limit = parseLimit(options.limit)
  const after = parseCursor(options.after)
  const logs = auditLogsOf(options, environment())
  const ask = async (search: AuditSearch): Promise<AuditPage & { readonly records?: readonly AuditRecord[] }> => {
    if (id === undefined) return search.page(query, { order: options.order, limit, after })
    return { hits: [], next: undefined, records: await (id.isTrace ? search.ofTrace : search.ofDecision)(id.value) }
  }
  const damage = createDamageReport()
  const found = await searchLogs(logs, ask, { ignoresIndexes: !options.index, onDamaged: damage.onDamaged })
  const records = found.records ?? recordsOf(found.hits)
  print(records)
  sayNext(found, options)
  if (records.length > 0) return damage.exit(EXIT.ok)
  say(`no record matches in ${logs.name}`)
  if (options.status !== undefined) say('the log has no status of a refusal: --decision deny finds denials')
  return damage.exit(EXIT.negative)
}

function recordsOf(hits: readonly AuditHit[]): AuditRecord[] {
  return hits.flatMap((hit) => hit.records)
}

function lineOf({ record }: AuditRecord): string {
  return `${formatRecord(record)}  ${formatIds(record)}`.trimEnd()
}

function sayNext({ next }: AuditPage, { limit }: SearchOptions): void {
  if (next !== undefined) say(`more than ${limit} match; for the next page add: --after ${formatCursor(next)}`)
}

type AskedId = { readonly name: string; readonly value: string; readonly isTrace: boolean }

function idIn({ decision, trace }: SearchOptions): AskedId | undefined {
  if (trace !== undefined) return { name: '--trace', value: parseTraceId(trace), isTrace: true }
  if (decision === undefined || !isDecisionId(decision)) return undefined
  return { name: '--decision <id>', value: decision, isTrace: false }
}

const FILTERS = ['who', 'cap', 'outcome', 'worker', 'status', 'text', 'since', 'until', 'after'] as const

/** An id says exactly which records are meant. */
function refuseFilters(options: SearchOptions, name: string): void {
  const others = FILTERS.filter((filter) => options[filter] !== undefined).map((filter) => `--${filter}`)
  const ruling = options.trace !== undefined && options.decision !== undefined ? ['--decision'] : []
  if (others.length + ruling.length === 0) return
  throw new CliError(
    EXIT.usage,
    `${name} names the records; it cannot be combined with ${[...ruling, ...others].join(', ')}`,
    {
      hint: 'to filter the records of a trace: crank audit tail --trace <id> --deny, --who, --cap or --since',
    },
  )
}

function toQuery(options: SearchOptions, nowMs: number): AuditQuery {
  const { who, worker, text, since, until, cap, outcome, status } = options
  const decision = options.decision !== undefined && isDecisionId(options.decision) ? undefined : options.decision
  return {
    ...(decision !== undefined && { decision: oneOf('--decision', decision, RULING_NAMES, 'a decision id') }),
    ...(outcome !== undefined && { outcome: oneOf('--outcome', outcome, OUTCOMES) }),
    ...(who !== undefined && { who: notEmpty('--who', who) }),
    ...(cap !== undefined && { cap: parseCap(cap) }),
    ...(worker !== undefined && { worker: notEmpty('--worker', worker) }),
    ...(status !== undefined && { status: parseStatus(status) }),
    ...(text !== undefined && { text: notEmpty('--text', text) }),
    ...(since !== undefined && { since: parseSince(since, nowMs) }),
    ...(until !== undefined && { until: parseSince(until, nowMs, '--until') }),
  }
}

function oneOf(option: string, value: string, names: readonly string[], or?: string): string {
  if (names.includes(value)) return value
  const valid = [...names, ...(or === undefined ? [] : [or])].join(', ')
  throw new CliError(EXIT.usage, `${option} "${value}": must be one of ${valid}`)
}

function notEmpty(option: string, value: string): string {
  if (value !== '') return value
  throw new CliError(EXIT.usage, `${option} "": must not be empty`)
}

/** `503`, or `5xx` for all of its hundred. */
function parseStatus(status: string): { from: number; to: number } {
  const [, hundred] = /^([1-5])xx$/i.exec(status) ?? []
  if (hundred !== undefined) return { from: Number(hundred) * 100, to: Number(hundred) * 100 + 99 }
  if (/^[1-5]\d\d$/.test(status)) return { from: Number(status), to: Number(status) }
  throw new CliError(EXIT.usage, `--status "${status}": must be an HTTP status such as 503, or 5xx`)
}

function parseLimit(text: string): number {
  const limit = parseCount('--limit', text)
  if (limit > 0) return limit
  throw new CliError(EXIT.usage, '--limit "0": must be at least 1')
}

const FILE = 'file'

/** By slot: the segment, and the position of the last line in it. */
function formatCursor(cursor: Cursor): string {
  return [...cursor].map(([slot, { firstSeq, at }]) => [slot ?? FILE, firstSeq, at].join('.')).join(',')
}

function parseCursor(text: string | undefined): Cursor | undefined {
  if (text === undefined) return undefined
  const cursor = new Map<number | null, Position>()
  for (const part of text.split(',')) {
    const [, slot, firstSeq, at] = /^(file|\d{1,9})\.(\d{1,16})\.(\d{1,16})$/.exec(part) ?? []
    if (slot === undefined) {
      throw new CliError(EXIT.usage, `--after "${text}": must be the cursor that the page before printed`)
    }
    cursor.set(slot === FILE ? null : Number(slot), { firstSeq: Number(firstSeq), at: Number(at) })
  }
  return cursor
}
