// `crank exception list`: the exceptions of the policy folder, with the uses in the audit log and those counted by a
// running controller. A restart resets the controller's counts, not the log.
import { isoTime } from '../../core/iso-time.ts'
import { NS_PER_MS, type ExceptionEntry } from '../../policy/data/exception-entries.ts'
import { parseExceptions } from '../../policy/data/exceptions.ts'
import type { ExceptionsReply } from '../../core/policy-exceptions.ts'
import type { PlacedFault } from '../../policy/data/fault-place.ts'
import { requestHttp } from '../http-request.ts'
import { adminUrlOf } from '../places.ts'
import { auditLogsIn } from '../audit-config.ts'
import { formatLeft } from '../time-left.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeTable, type Column, type Format } from '../output.ts'
import { readExceptions, type ExceptionsFile } from './exceptions-file.ts'
import { usesIn, type LoggedUses } from './uses.ts'
import { environment } from '../environment.ts'

type ListOptions = {
  adminUrl?: string | undefined
  auditFile?: string | undefined
  auditDir?: string | undefined
  stateDir?: string | undefined
  policy?: string | undefined
  output: Format
}
/** Undefined: no controller answered; no log could be read. */
type Told = { readonly reply: ExceptionsReply | undefined; readonly logged: LoggedUses | undefined }

/** `uses`: null when neither is known. */
type Row = {
  readonly id: string | null
  readonly spiffe_id: string
  readonly capability: string | null
  readonly state: 'live' | 'expired' | 'invalid'
  readonly expires_at: string | null
  readonly days_left: number | null
  readonly seconds_left: number | null
  readonly owner: string | null
  readonly reason: string
  readonly uses: number | null
  readonly last_used_at: string | null
}

const TIMEOUT_MS = 2000
const DAY_MS = 86_400_000
const COLOURS = { live: 'green', expired: 'dim', invalid: 'red' } as const

const COLUMNS: readonly Column<Row>[] = [
  { title: 'STATE', cell: ({ state }) => paint(COLOURS[state], state) },
  { title: 'WHO', cell: ({ spiffe_id }) => spiffe_id },
  { title: 'CAPABILITY', cell: ({ capability, state }) => (state === 'invalid' ? '-' : (capability ?? '*')) },
  {
    title: 'LEFT',
    cell: ({ seconds_left: left }) => (left !== null && left > 0 ? formatLeft(left * 1000) : '-'),
  },
  { title: 'USES', cell: ({ uses }) => (uses === null ? '-' : uses === 0 ? 'unused' : String(uses)) },
  { title: 'LAST USED', cell: ({ last_used_at }) => last_used_at ?? '-' },
  { title: 'OWNER', cell: ({ owner }) => owner ?? '-' },
  { title: 'ID', cell: ({ id }) => id ?? '-' },
  { title: 'REASON', cell: ({ reason }) => reason },
]

/** Prints them; `negative` if one is malformed, and so without effect. */
export async function listExceptions(options: ListOptions): Promise<ExitCode> {
  const file = await readExceptions(options)
  const url = adminUrlOf(options)
  const logs = auditLogsIn(options, environment())
  const told = { reply: await askController(url), logged: await usesIn(logs, madeAt(file)) }
  const rows = rowsOf(file, told, Date.now())
  if (options.output === 'json') {
    const { reply, logged } = told
    const audit = { audit_file: logged?.file ?? null, audit_since: logged?.since ?? null }
    writeJson({ file: file.path, uses_counted_since: reply?.counted_since ?? null, ...audit, exceptions: rows })
  } else {
    say(sourceOf(told, { url, logName: logs.name }))
    if (rows.length === 0) say('no exceptions')
    else writeTable(COLUMNS, rows)
  }
  return rows.some(({ state }) => state === 'invalid') ? EXIT.negative : EXIT.ok
}

function madeAt({ policy }: ExceptionsFile): Map<string, number> {
  return new Map(policy.exceptions.map(({ name, createdAt }) => [name, Date.parse(createdAt)]))
}

function rowsOf({ entries, policy }: ExceptionsFile, told: Told, nowMs: number): Row[] {
  const limits = { nowMs, maxDays: policy.maxExceptionDays }
  return Object.entries(entries).flatMap(([id, entry]) => {
    const found = parseExceptions({ [id]: entry }, limits)
    if (found.faults.length > 0) return [invalidRow(id, found.faults)]
    return found.entries.map((exception) => row(exception, told, nowMs))
  })
}

function row(entry: ExceptionEntry, { reply, logged }: Told, nowMs: number): Row {
  const leftMs = Number(entry.expiresAfterNs / NS_PER_MS) - nowMs
  const counted = reply?.exceptions.find(({ name }) => name === entry.name)
  const recorded = logged && (logged.byName.get(entry.name) ?? { uses: 0, lastUsedAt: null })
  // A log includes the uses of its own controller. If it is another controller's log, the larger number is closer.
  const uses = [counted?.uses, recorded?.uses].filter((count) => count !== undefined)
  const times = [counted?.last_used_at, recorded?.lastUsedAt].filter((time) => typeof time === 'string')
  return {
    id: entry.id,
    spiffe_id: entry.spiffeId,
    capability: entry.capabilities[0] ?? null,
    state: leftMs > 0 ? 'live' : 'expired',
    expires_at: isoTime(nowMs + leftMs),
    days_left: Math.max(0, Math.floor((leftMs / DAY_MS) * 1000) / 1000),
    seconds_left: Math.max(0, leftMs / 1000),
    owner: entry.owner,
    reason: entry.reason,
    uses: uses.length === 0 ? null : Math.max(...uses),
    last_used_at: times.sort().at(-1) ?? null,
  }
}

function invalidRow(spiffeId: string, faults: readonly PlacedFault[]): Row {
  const nothing = {
    id: null,
    capability: null,
    expires_at: null,
    days_left: null,
    seconds_left: null,
    owner: null,
    uses: null,
  }
  const reason = faults.map(({ path, reason: why }) => `${path.split('"].')[1] ?? ''} ${why}`.trim()).join('; ')
  return { ...nothing, spiffe_id: spiffeId, state: 'invalid', reason, last_used_at: null }
}

/** The source of the uses, as a sentence. */
function sourceOf({ reply, logged }: Told, { url, logName }: { url: string; logName: string }): string {
  const parts = [
    ...(logged === undefined ? [] : [`in ${logged.file}${logged.since === null ? '' : ` since ${logged.since}`}`]),
    ...(reply === undefined ? [] : [`counted by ${url} since ${reply.counted_since}`]),
  ]
  if (parts.length > 0) return `uses ${parts.join(', and ')}`
  return `uses are unknown: no controller at ${url} and no audit log at ${logName}`
}

/** Undefined without an answer: the list is useful without it. */
async function askController(url: string): Promise<ExceptionsReply | undefined> {
  try {
    const { statusCode, text } = await requestHttp(`${url}/policy/exceptions`, { timeoutMs: TIMEOUT_MS })
    return statusCode === 200 ? (JSON.parse(text) as ExceptionsReply) : undefined
  } catch {
    return undefined
  }
}
