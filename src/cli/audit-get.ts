// `crank audit get`: a call with all that the log knows about it: decision, attempts, outcome, and the worker that served it.
import type { AuditSearch } from '../audit/index/search.ts'
import type { ChainedRecord } from '../audit/chain.ts'
import type { AuditRecord } from '../audit/reader.ts'
import { isText, rulingIn } from '../audit/record-members.ts'
import { passes } from '../core/ruling.ts'
import { auditLogsOf, type AuditOptions } from './audit-config.ts'
import { searchLogs } from './audit-index.ts'
import { createDamageReport } from './damage-report.ts'
import { environment } from './environment.ts'
import { CliError, EXIT, type ExitCode } from './exit.ts'
import { say, writeJson, writeLine } from './output.ts'
import { factsOf, isDecisionId, isTraceId, outcomeOf } from './policy-ask/record.ts'
import { writeFacts } from './policy-ask/render.ts'
import { UNKNOWN_OUTCOME } from './unknown-outcome.ts'

type GetOptions = AuditOptions & { traceUrl?: string | undefined }

/** `retries`: decisions that were made again for further attempts. `registration`: the last one of the worker before the call. */
type Call = {
  readonly record: ChainedRecord
  readonly outcome: ChainedRecord | undefined
  readonly retries: readonly ChainedRecord[]
  readonly registration: ChainedRecord | undefined
}

/** Prints a decision by its id, or the calls of a trace; `negative` when the log has none. @throws {CliError} `usage` */
export async function getAudit(id: string, options: GetOptions): Promise<ExitCode> {
  if (!isDecisionId(id) && !isTraceId(id)) {
    throw new CliError(EXIT.usage, `"${id}" is neither a decision id nor a trace id`, {
      hint: 'every answer has them in x-decision-id and x-trace-id; to find a call by anything else: crank audit search',
    })
  }
  const linkTo = toLink(options.traceUrl)
  const logs = auditLogsOf(options, environment())
  const damage = createDamageReport()
  const find = async (search: AuditSearch): Promise<Call[]> => {
    const records = await (isTraceId(id) ? search.ofTrace(id) : search.ofDecision(id))
    const found: Call[] = []
    for (const group of groups(records)) found.push(await callOf(search, group))
    return found
  }
  const calls = await searchLogs(logs, find, { onDamaged: damage.onDamaged })
  if (calls.length === 0) {
    say(`no record of ${isTraceId(id) ? 'trace' : 'decision'} ${id} in ${logs.name}`)
    return damage.exit(EXIT.negative)
  }
  if (options.output === 'json')
    writeJson({ calls: calls.map((call) => asJson(call, linkTo)), missing: damage.missing() })
  else for (const call of calls) print(call, linkTo)
  return damage.exit(EXIT.ok)
}

/** The records by decision, in the order of the decisions. */
function groups(records: readonly AuditRecord[]): ChainedRecord[][] {
  const byId = new Map<unknown, ChainedRecord[]>()
  for (const { record } of records) {
    const { decision_id: id } = record
    byId.set(id, [...(byId.get(id) ?? []), record])
  }
  const all = [...byId.values()]
  // A decision that was made again belongs to its call.
  const isRetry = (group: readonly ChainedRecord[]): boolean =>
    group.some((record) => isText(record['retry_of']) && byId.has(record['retry_of']))
  return all.filter((group) => !isRetry(group))
}

async function callOf(search: AuditSearch, records: readonly ChainedRecord[]): Promise<Call> {
  const outcome = records.find(({ event }) => event === 'route_outcome')
  const record = records.find(({ event }) => event !== 'route_outcome') ?? records[0]
  if (record === undefined) throw new Error('a group of records is never empty')
  const retries: ChainedRecord[] = []
  for (const id of retryIds(outcome, record)) retries.push(...(await search.ofDecision(id)).map((one) => one.record))
  return { record, outcome, retries, registration: await registrationOf(search, outcome) }
}

/** The decision ids of the attempts, but for that of the call. */
function retryIds(outcome: ChainedRecord | undefined, record: ChainedRecord): string[] {
  const attempts = attemptsIn(outcome)
  const ids = attempts.map((attempt) => attempt['decision_id']).filter(isText)
  return [...new Set(ids)].filter((id) => id !== record['decision_id'])
}

async function registrationOf(
  search: AuditSearch,
  outcome: ChainedRecord | undefined,
): Promise<ChainedRecord | undefined> {
  const worker = outcome?.['worker_id']
  if (outcome === undefined || !isText(worker)) return undefined
  const query = { event: 'worker_registration', worker, until: Date.parse(outcome.timestamp) }
  const { hits } = await search.page(query, { order: 'newest', limit: 1 })
  return hits[0]?.record
}

function print({ record, outcome, retries, registration }: Call, linkTo: LinkTo): void {
  const facts = factsOf(record)
  for (const [at, attempt] of attemptsIn(outcome).entries()) facts.push([`attempt ${at + 1}`, attemptText(attempt)])
  for (const retry of retries)
    facts.push(['asked again', `${retry.timestamp}, decision id ${String(retry['decision_id'])}`])
  if (outcome !== undefined) facts.push(['outcome', outcomeOf(outcome)])
  else if (awaitsOutcome(record)) facts.push(['outcome', UNKNOWN_OUTCOME])
  if (registration !== undefined) facts.push(['registered', registrationText(registration)])
  const link = linkTo(record)
  if (link !== null) facts.push(['trace link', link])
  const title = [record['requester_spiffe_id'], record['capability']].filter(isText).join('  ')
  writeFacts(rulingIn(record) ?? record.event, title, facts)
  if (registration === undefined && isText(outcome?.['worker_id'])) {
    writeLine(`  the log has no registration of ${outcome['worker_id']} before this call`)
  }
}

function awaitsOutcome(record: ChainedRecord): boolean {
  const ruling = record.event === 'policy_decision' ? rulingIn(record) : undefined
  return ruling !== undefined && passes(ruling) && !isText(record['retry_of'])
}

function attemptText(attempt: Readonly<Record<string, unknown>>): string {
  const { worker_id: worker, reason, outcome, error, sent, duration_ms: ms } = attempt
  const why = isText(reason) ? `, after ${reason}` : ''
  const fault = isText(error) ? `, ${error}` : ''
  return `${String(outcome)}: ${String(worker)}, ${String(ms)} ms${why}${fault}${sent === false ? ', nothing was sent' : ''}`
}

function registrationText(registration: ChainedRecord): string {
  const { worker_url: url, requester_spiffe_id: who, decision } = registration
  return `${registration.timestamp}, ${String(url)}, ${String(who)}, ${String(decision)}, record ${registration.seq}`
}

function asJson({ record, outcome, retries, registration }: Call, linkTo: LinkTo): object {
  return {
    record,
    outcome: outcome ?? null,
    retries,
    registration: registration ?? null,
    trace_url: linkTo(record),
  }
}

function attemptsIn(outcome: ChainedRecord | undefined): Readonly<Record<string, unknown>>[] {
  const made = outcome?.['attempts_made']
  return Array.isArray(made) ? made.filter(isObject) : []
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

type LinkTo = (record: ChainedRecord) => string | null

const TRACE_ID = '{trace_id}'

/** @throws {CliError} `usage` for a URL without a place for the id */
function toLink(template: string | undefined): LinkTo {
  if (template === undefined) return () => null
  if (!URL.canParse(template) || !template.includes(TRACE_ID)) {
    throw new CliError(EXIT.usage, `--trace-url "${template}": must be a URL with ${TRACE_ID} in it`)
  }
  return (record) => {
    const { trace_id: id } = record
    return isText(id) ? template.replaceAll(TRACE_ID, id) : null
  }
}
