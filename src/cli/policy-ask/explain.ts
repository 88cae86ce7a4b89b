// `crank explain`: explains a recorded decision or a question: the nearest miss, and what would change the answer.
import { callIn, exceptionIn, groundsIn, isText, reasonsIn, rulingIn } from '../../audit/record-members.ts'
import type { ChainedRecord } from '../../audit/chain.ts'
import type { AuditSearch } from '../../audit/index/search.ts'
import type { AuditRecord } from '../../audit/reader.ts'
import { passes } from '../../core/ruling.ts'
import type { AskAnswer } from '../../core/policy-ask.ts'
import { auditLogsOf } from '../audit-config.ts'
import { searchLogs } from '../audit-index.ts'
import { createDamageReport } from '../damage-report.ts'
import { CliError, describeFailure, EXIT, type ExitCode } from '../exit.ts'
import { say, writeJson } from '../output.ts'
import { why } from './answer.ts'
import { askOne, readQuestion, type AskOptions, type Typed } from './can-i.ts'
import { inFolder, registrationChanges } from './change.ts'
import type { Knowledge } from './knowledge.ts'
import { nearestMiss, type Asked, type Nearest, type Said } from './nearest-miss.ts'
import { parseAt } from './question.ts'
import { codesOf, factsOf, isDecisionId, isTraceId, outcomeOf } from './record.ts'
import { UNKNOWN_OUTCOME } from '../unknown-outcome.ts'
import { writeFacts, writeNearest } from './render.ts'
import { openSource } from './source.ts'
import { environment } from '../environment.ts'

/** The policy's own decision, by the recorded ruling. */
const SAID: Readonly<Record<string, Said['decision']>> = { allow: 'allow', deny: 'deny', would_deny: 'deny' }

type ExplainOptions = AskOptions & {
  auditFile?: string | undefined
  auditDir?: string | undefined
  stateDir?: string | undefined
}

/**
 * One argument is a decision id or a trace id, two or three are a question. @throws {CliError} `usage` for anything
 * else
 */
export async function explain(words: readonly (string | undefined)[], options: ExplainOptions): Promise<ExitCode> {
  const [first = '', verb, capability] = words
  if (verb === undefined && isDecisionId(first)) return explainRecord(first, options)
  if (verb === undefined && isTraceId(first)) return explainTrace(first, options)
  if (verb !== undefined && (capability !== undefined || verb.includes(':'))) {
    return explainQuestion({ who: first, verb, capability }, options)
  }
  throw new CliError(
    EXIT.usage,
    verb === undefined ? `"${first}" is neither a decision id nor a trace id` : 'the capability is missing',
    {
      hint: 'crank explain <decision-id> or <trace-id>, or crank explain <who> <verb> <capability>',
    },
  )
}

async function explainQuestion(typed: Typed, options: ExplainOptions): Promise<ExitCode> {
  const question = readQuestion(typed, options, environment())
  const source = await openSource(options, environment())
  const answer = await askOne(source, question)
  const knowledge = await source.knowledge()
  const nearest = inAsked(nearestMiss(question, answer, knowledge), options)
  if (options.output === 'json') {
    writeJson({ answer, nearest_misses: nearest.misses, changes: nearest.changes, policy_dir: knowledge.policyDir })
  } else {
    writeFacts(answer.ruling, `${answer.spiffe_id}  ${answer.capability}`, factsOfAnswer(answer))
    writeNearest(nearest, knowledge.policyDir)
  }
  return EXIT.ok
}

/** Explains every decision of the trace in order: a worker that calls others adds one per call. `negative` when there is none. */
async function explainTrace(traceId: string, options: ExplainOptions): Promise<ExitCode> {
  const logs = auditLogsOf(options, environment())
  const damage = createDamageReport()
  const find = async (search: AuditSearch): Promise<AuditRecord[][]> => {
    const records = (await search.ofTrace(traceId)).map(({ record }) => record)
    const ids = new Set(records.map(({ decision_id: id }) => id).filter(isText))
    const found: AuditRecord[][] = []
    for (const id of ids) found.push(await search.ofDecision(id))
    return found
  }
  const calls = await searchLogs(logs, find, { onDamaged: damage.onDamaged })
  for (const records of calls) await explainRecords(records, options)
  if (calls.length > 0) return damage.exit(EXIT.ok)
  say(`no record of trace ${traceId} in ${logs.name}`)
  return damage.exit(EXIT.negative)
}

/** `negative` when the log has no such decision. */
async function explainRecord(decisionId: string, options: ExplainOptions): Promise<ExitCode> {
  const logs = auditLogsOf(options, environment())
  const damage = createDamageReport()
  const find = (search: AuditSearch): Promise<AuditRecord[]> => search.ofDecision(decisionId)
  const records = await searchLogs(logs, find, { onDamaged: damage.onDamaged })
  if (await explainRecords(records, options)) return damage.exit(EXIT.ok)
  say(`no record of decision ${decisionId} in ${logs.name}`)
  return damage.exit(EXIT.negative)
}

/** Without a policy to ask, it still shows the record. @returns whether there is one */
async function explainRecords(found: readonly AuditRecord[], options: ExplainOptions): Promise<boolean> {
  const records = found.map(({ record }) => record)
  const record = records.find(({ event }) => event !== 'route_outcome') ?? records[0]
  if (record === undefined) return false
  const outcome = records.find(({ event }) => event === 'route_outcome')
  const view = await lookAgain(record, options)
  if (options.output === 'json') writeJson(asJson(records, view))
  else print(record, outcome, view)
  return true
}

/** What the policy decides on a recorded call today, and the nearest miss. */
type View = {
  readonly today: AskAnswer | undefined
  readonly nearest: Nearest
  readonly knowledge: Knowledge | undefined
}

async function lookAgain(record: ChainedRecord, options: ExplainOptions): Promise<View> {
  const atNs = parseAt(options.at)
  const asked = callIn(record)
  try {
    const source = await openSource(options, environment())
    const knowledge = await source.knowledge()
    if (asked === undefined)
      return { today: undefined, nearest: inAsked(nearestToRegistration(record), options), knowledge }
    const today = await askOne(source, { ...asked, atNs })
    return { today, nearest: inAsked(nearestToRecord(asked, record, knowledge), options), knowledge }
  } catch (cause: unknown) {
    if (!(cause instanceof CliError)) throw cause
    say(`shown as recorded, without the nearest miss: ${describeFailure(cause).text.replaceAll('\n ', ';')}`)
    return { today: undefined, nearest: { misses: [], changes: [] }, knowledge: undefined }
  }
}

function inAsked({ misses, changes }: Nearest, { policy }: ExplainOptions): Nearest {
  return { misses, changes: inFolder(changes, policy) }
}

function nearestToRecord(asked: Asked, record: ChainedRecord, knowledge: Knowledge): Nearest {
  const ruling = rulingIn(record)
  const decision = ruling === undefined ? null : (SAID[ruling] ?? null)
  const said = { decision, grounds: [...groundsIn(record)], exception: exceptionIn(record), reasons: reasonsIn(record) }
  return nearestMiss(asked, said, knowledge)
}

function nearestToRegistration(record: ChainedRecord): Nearest {
  const who = record['requester_spiffe_id']
  return { misses: [], changes: typeof who === 'string' ? registrationChanges(who, codesOf(record)) : [] }
}

function asJson(records: readonly ChainedRecord[], { today, nearest, knowledge }: View): object {
  return {
    records,
    today: today ?? null,
    nearest_misses: nearest.misses,
    changes: nearest.changes,
    policy_dir: knowledge?.policyDir ?? null,
  }
}

function print(record: ChainedRecord, outcome: ChainedRecord | undefined, { today, nearest, knowledge }: View): void {
  const facts = factsOf(record)
  if (outcome !== undefined && outcome !== record) facts.push(['outcome', outcomeOf(outcome)])
  else if (record.event === 'policy_decision' && isPassed(record)) facts.push(['outcome', UNKNOWN_OUTCOME])
  if (today !== undefined) facts.push(['today', `${today.ruling}, revision ${today.policy_revision}: ${why(today)}`])
  const ruling = record['decision']
  writeFacts(typeof ruling === 'string' ? ruling : record.event, decisionTitle(record), facts)
  if (knowledge !== undefined) writeNearest(nearest, knowledge.policyDir)
}

function isPassed(record: ChainedRecord): boolean {
  const ruling = rulingIn(record)
  return ruling !== undefined && passes(ruling)
}

function decisionTitle(record: ChainedRecord): string {
  return [record['requester_spiffe_id'], record['capability']].filter((part) => typeof part === 'string').join('  ')
}

function factsOfAnswer(answer: AskAnswer): [name: string, value: string][] {
  const reasons = answer.reasons.map(({ code, message }): [string, string] => ['reason', `${code}: ${message}`])
  const grounds: [string, string][] = answer.decision === 'allow' ? [['grounds', why(answer)]] : []
  return [
    ['at', answer.at],
    ['mode', answer.mode],
    ...reasons,
    ...grounds,
    ['policy', `revision ${answer.policy_revision}, version ${answer.policy_version ?? '-'}, ${answer.engine}`],
  ]
}
