// `crank audit tail`: one line per record for people, unchanged records for programs.
import type { ChainedRecord } from '../audit/chain.ts'
import { followAudit } from '../audit/follow.ts'
import { lastOfAudits, matches, readAudits, type AuditFilter, type AuditRecord } from '../audit/reader.ts'
import { reasonsIn } from '../audit/record-members.ts'
import { BREAKS, type BreakReason } from '../core/segment-reason.ts'
import { auditLogsIn, auditLogsOf, unreadable, type AuditLogs, type AuditOptions } from './audit-config.ts'
import { searchLogs } from './audit-index.ts'
import { createDamageReport, type DamageReport } from './damage-report.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { parseCap, parseCount, parseSince } from './option-values.ts'
import { paint, writeLine, type Colour } from './output.ts'
import { isTraceId } from './policy-ask/record.ts'
import { environment } from './environment.ts'

type TailOptions = AuditOptions & {
  follow?: true | undefined
  lines?: string | undefined
  deny?: true | undefined
  who?: string | undefined
  cap?: string | undefined
  trace?: string | undefined
  since?: string | undefined
}

const DEFAULT_LINES = 10
const GOOD = new Set(['allow', 'completed'])

/** Prints the last matching records of all slots by time; with `follow` it continues until SIGINT or SIGTERM. */
export async function tailAudit(options: TailOptions): Promise<ExitCode> {
  const filter = toFilter(options, Date.now())
  const isBounded = options.since !== undefined || options.trace !== undefined
  const lines = parseLines(options.lines) ?? (isBounded ? Number.POSITIVE_INFINITY : DEFAULT_LINES)
  const isFollowing = options.follow === true
  // What is followed may be written later.
  const logs = isFollowing ? auditLogsIn(options, environment()) : auditLogsOf(options, environment())
  const damage = createDamageReport()
  const print = ({ text, record }: AuditRecord) =>
    writeLine(options.output === 'json' ? text : `${formatRecord(record)}  ${formatIds(record)}`.trimEnd())
  try {
    if (isFollowing) {
      const chains = () => auditLogsIn(options, environment()).chains
      const following = { last: lines, onDamaged: damage.onDamaged }
      for await (const found of followAudit(chains, filter, untilSignal(), following)) print(found)
    } else {
      for (const found of await lastRecords(logs, { filter, lines, damage })) print(found)
    }
  } catch (cause: unknown) {
    throw unreadable(logs.name, cause)
  }
  return damage.exit(EXIT.ok)
}

/** One record as a line: time, event, caller, capability and reason. */
export function formatRecord(record: ChainedRecord): string {
  const { what, detail } = describe(record)
  const who = text(record['requester_spiffe_id']) ?? text(record['remote_address']) ?? '-'
  const capability = text(record['capability']) ?? '-'
  const cells = [record.timestamp, paint(colourOf(record), what.padEnd(16)), who, capability, detail]
  return cells.filter((cell) => cell !== '').join('  ')
}

/** The ids to search with. */
export function formatIds(record: ChainedRecord): string {
  const ids = [label('decision', record['decision_id']), label('trace', record['trace_id'])]
  return ids.filter((id) => id !== '').join('  ')
}

/** From the end, since a log has years; those of a trace by the index, all others that match from their beginning. */
async function lastRecords(
  logs: AuditLogs,
  { filter, lines, damage }: { filter: AuditFilter; lines: number; damage: DamageReport },
): Promise<readonly AuditRecord[]> {
  const { trace } = filter
  const { onDamaged } = damage
  if (trace !== undefined && lines > 0) {
    const found = await searchLogs(logs, (search) => search.ofTrace(trace), { onDamaged })
    return found.filter(({ record }) => matches(record, filter)).slice(-lines)
  }
  if (Number.isFinite(lines)) return await lastOfAudits(logs.chains, filter, lines, { onDamaged })
  const all: AuditRecord[] = []
  for await (const record of readAudits(logs.chains, filter, onDamaged)) all.push(record)
  return all
}

function toFilter({ deny, who, cap, trace, since }: TailOptions, nowMs: number): AuditFilter {
  return {
    ...(deny === true && { deny }),
    ...(who !== undefined && { who }),
    ...(cap !== undefined && { cap: parseCap(cap) }),
    ...(trace !== undefined && { trace: parseTraceId(trace) }),
    ...(since !== undefined && { since: parseSince(since, nowMs) }),
  }
}

/** The value of `--trace`. @throws {CliError} `usage` */
export function parseTraceId(trace: string): string {
  if (isTraceId(trace)) return trace.toLowerCase()
  throw new CliError(EXIT.usage, `--trace "${trace}": must be the 32 hex digits of a trace id`, {
    hint: 'every answer has it in x-trace-id; crank invoke prints it',
  })
}

function parseLines(lines: string | undefined): number | undefined {
  return lines === undefined ? undefined : parseCount('--lines', lines)
}

function untilSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())
  return controller.signal
}

function describe(record: ChainedRecord): { what: string; detail: string } {
  switch (record.event) {
    case 'policy_decision':
      return { what: text(record['decision']) ?? '-', detail: reasonsOf(record) }
    case 'worker_registration':
      return { what: `register ${text(record['decision']) ?? '-'}`, detail: text(record['worker_id']) ?? '' }
    case 'route_outcome':
      return {
        what: text(record['outcome']) ?? '-',
        detail: `${String(record['status'])} ${String(record['duration_ms'])} ms`,
      }
    case 'policy_changed':
      return { what: record.event, detail: changeOf(record) }
    case 'block_changed':
      return { what: 'block list', detail: blockOf(record) }
    case 'identity_refused':
    case 'handshake_refused':
    case 'request_refused':
      return {
        what: 'refused',
        detail: [text(record['error']), text(record['reason'])].filter(Boolean).join(': ') + times(record),
      }
    case 'audit_segment_opened':
      return {
        what: 'new segment',
        detail: `${reasonOfSegment(record['reason'])}; it continues record ${String(record['previous_seq'])}`,
      }
    case 'audit_segments_removed':
      return {
        what: 'segments removed',
        detail: `records ${String(record['first_seq'])} to ${String(record['last_seq'])} (${text(record['reason']) ?? '-'})`,
      }
    case 'clock_stepped':
      return { what: 'clock stepped', detail: `${String(record['step_ms'])} ms` }
    default:
      return { what: record.event, detail: '' }
  }
}

function reasonOfSegment(reason: unknown): string {
  const name = text(reason) ?? '-'
  return name in BREAKS ? BREAKS[name as BreakReason] : name
}

function changeOf(record: ChainedRecord): string {
  const revisions = `${text(record['old_revision']) ?? '-'} -> ${text(record['new_revision']) ?? '-'}`
  return record['scope'] === 'blocked' ? `block list alone, revision ${text(record['new_revision']) ?? '-'}` : revisions
}

function blockOf(record: ChainedRecord): string {
  const names = Array.isArray(record['names']) ? record['names'].map(String).join(' ') : '-'
  return `${names} by ${text(record['requested_by']) ?? '-'}: ${text(record['reason']) ?? '-'}`
}

function reasonsOf(record: ChainedRecord): string {
  const error = text(record['error'])
  return (
    [...reasonsIn(record).map(({ message }) => message), ...(error === undefined ? [] : [error])].join('; ') +
    times(record)
  )
}

/** Refusals beyond their budget are recorded together. */
function times({ count }: ChainedRecord): string {
  return typeof count === 'number' && count > 1 ? ` (${count} times in a second)` : ''
}

function colourOf(record: ChainedRecord): Colour {
  const verdict = text(record['decision']) ?? text(record['outcome'])
  if (verdict !== undefined) return GOOD.has(verdict) ? 'green' : 'red'
  return record.event.endsWith('_refused') ? 'red' : 'dim'
}

function label(name: string, value: unknown): string {
  return typeof value === 'string' ? paint('dim', `${name}=${value}`) : ''
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
