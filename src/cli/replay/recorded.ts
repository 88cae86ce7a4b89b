// One line of an audit log with the data for replay: the original question and its result. The chain is not checked
// here (`--verify` does that first); a line that is not a complete record is counted, never guessed.
import { groundsIn, isText, reasonsIn, type RecordMembers } from '../../audit/record-members.ts'
import { parseCapability, splitCapability } from '../../core/capability.ts'
import { PRIORITIES, type PolicyInput, type Question, type RegistrationInput } from '../../core/decision.ts'
import { isRuling, isUndecided, type Decided } from '../../core/ruling.ts'
import { parseSpiffeId, trustDomainOf } from '../../core/spiffe-id.ts'

export type Recorded = {
  readonly question: Question
  readonly input: PolicyInput | RegistrationInput
  /** `verb:name`; for a registration `register <worker id>`. */
  readonly subject: string
  readonly was: Decided
  /** Reason codes of a denial, grounds of an allow. */
  readonly why: string
  readonly revision: string
}

/**
 * A decision, or why the line is not one: `other` event (such as a request of a blocked identity: no policy was
 * asked),
 * `outside` the window, `trouble` (no decision was made), `incomplete` (the input cannot be reconstructed),
 * `unreadable` (not a complete record).
 */
type Line = Recorded | 'other' | 'outside' | 'trouble' | 'incomplete' | 'unreadable'

/** ISO 8601 times as `Date.toISOString` writes them; records at or after `from` and before `until`. */
export type Window = { readonly from: string | undefined; readonly until: string | undefined }

const QUESTIONS: Readonly<Record<string, Question>> = {
  policy_decision: 'capability_access',
  worker_registration: 'worker_registration',
}
const EVENT = '"event":"'
/** The furthest position of `"event":`: after `v`, `seq`, `prev` and `hash`, before any text from a caller. */
const EVENT_AT_MOST = 256
const TIMESTAMP = '","timestamp":"'
const TIMESTAMP_LENGTH = 24
const MAX_REMEMBERED = 10_000

/** Reads one line, without its line feed. */
export function readRecorded(text: string, window: Window): Line {
  const skipped = skipUnparsed(text, window)
  if (skipped !== undefined) return skipped
  const record = parseObject(text)
  if (record === undefined || typeof record['event'] !== 'string') return 'unreadable'
  const question = QUESTIONS[record['event']]
  if (question === undefined || record['capability'] === null) return 'other'
  if (typeof record['timestamp'] !== 'string') return 'incomplete'
  if (isOutside(record['timestamp'], window)) return 'outside'
  if (isRuling(record['decision']) && isUndecided(record['decision'])) return 'trouble'
  return toRecorded(question, record) ?? 'incomplete'
}

// Most lines of a log are outcomes, or outside the window. Their beginning shows it, and parsing is most of the work.
function skipUnparsed(text: string, window: Window): 'other' | 'outside' | undefined {
  const at = text.indexOf(EVENT)
  if (at === -1 || at > EVENT_AT_MOST || !text.endsWith('}')) return undefined
  const start = at + EVENT.length
  const end = text.indexOf('"', start)
  if (QUESTIONS[text.slice(start, end)] === undefined) return 'other'
  if (!text.startsWith(TIMESTAMP, end)) return undefined
  const timestamp = end + TIMESTAMP.length
  return isOutside(text.slice(timestamp, timestamp + TIMESTAMP_LENGTH), window) ? 'outside' : undefined
}

// All timestamps have one form, in which texts sort like times.
function isOutside(timestamp: string, { from, until }: Window): boolean {
  return (from !== undefined && timestamp < from) || (until !== undefined && timestamp >= until)
}

function toRecorded(question: Question, record: RecordMembers): Recorded | undefined {
  const was = record['decision']
  const identity = identityOf(record['requester_spiffe_id'])
  const context = identity && contextOf(record, identity)
  if (identity === undefined || context === undefined || !isRuling(was) || isUndecided(was)) return undefined
  const common = {
    question,
    was,
    why: whyOf(record),
    revision: String(record['policy_revision']),
  }
  if (question === 'worker_registration') {
    const resource = resourceOf(record)
    if (resource === undefined) return undefined
    const action = { verb: 'register', capability: 'worker' }
    return { ...common, subject: `register ${resource.worker_id}`, input: { identity, action, context, resource } }
  }
  const { capability } = record
  const action = actionOf(capability)
  if (action === undefined || !isText(capability)) return undefined
  return { ...common, subject: capability, input: { identity, action, context } }
}

function whyOf(record: RecordMembers): string {
  return record['decision'] === 'allow' ? groundsIn(record).join(', ') : codesOf(reasonsIn(record))
}

/** Reason codes as one text, in order, without duplicates. */
export function codesOf(reasons: readonly { readonly code: unknown }[]): string {
  if (reasons.length === 1) return String(reasons[0]?.code)
  return [...new Set(reasons.map((reason) => String(reason.code)))].sort().join(', ')
}

const identityOf = remembered((text): PolicyInput['identity'] => {
  const spiffeId = parseSpiffeId(text)
  return { spiffe_id: spiffeId, trust_domain: trustDomainOf(spiffeId) }
})

const actionOf = remembered((text): PolicyInput['action'] => {
  const { verb, name } = splitCapability(parseCapability(text))
  return { verb, capability: name }
})

function contextOf(
  record: RecordMembers,
  { spiffe_id: caller }: PolicyInput['identity'],
): PolicyInput['context'] | undefined {
  const { timestamp, now_ns, source, decision_id, priority, origin, depth } = record
  const known = PRIORITIES.find((name) => name === priority)
  if (source !== 'controller' || known === undefined) return undefined
  if (!isText(timestamp) || !isText(now_ns) || !isText(decision_id)) return undefined
  const about = { timestamp, now_ns, source: 'controller', decision_id, priority: known } as const
  // Controllers before the chains of calls recorded neither: each of their calls was direct.
  if (origin === undefined && depth === undefined) return { ...about, origin: caller, depth: 0 }
  const originId = identityOf(origin)?.spiffe_id
  return originId === undefined || !isDepth(depth) ? undefined : { ...about, origin: originId, depth }
}

function isDepth(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0
}

function resourceOf(record: RecordMembers): RegistrationInput['resource'] | undefined {
  const { worker_id, worker_url, capabilities } = record
  if (!isText(worker_id) || !isText(worker_url) || !Array.isArray(capabilities)) return undefined
  return { worker_id, worker_url, capabilities: textsOf(capabilities) }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

function parseObject(text: string): RecordMembers | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as RecordMembers) : undefined
  } catch {
    return undefined
  }
}

/** A log repeats the same few callers and capabilities. Undefined for values that the parser rejects. */
function remembered<T>(parse: (text: string) => T): (value: unknown) => T | undefined {
  const known = new Map<string, T>()
  return (value) => {
    if (typeof value !== 'string') return undefined
    const found = known.get(value)
    if (found !== undefined) return found
    try {
      const made = parse(value)
      if (known.size >= MAX_REMEMBERED) known.clear()
      known.set(value, made)
      return made
    } catch {
      return undefined
    }
  }
}
