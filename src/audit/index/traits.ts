// What a record can be searched by, besides its ids and its time; and whether a call has what a query asks for.
import { isText, reasonsIn, rulingIn, type RecordMembers } from '../record-members.ts'

/** Lists are texts with a line feed between their items; '' and 0: the record has none. */
export type Traits = {
  readonly event: string
  readonly who: string
  readonly caps: string
  readonly decision: string
  readonly outcome: string
  /** The worker that answered, and those of all attempts. */
  readonly workers: string
  readonly status: number
  /** Codes and messages of reasons, errors, and the exception. */
  readonly texts: string
}

/** The traits that are texts. */
type TextTrait = Exclude<keyof Traits, 'status'>

/**
 * What to look for. Members of a decision and of its outcome mean the call: its two records have them together. Times are Unix
 * milliseconds; `until` is the first one that is too late.
 */
export type AuditQuery = {
  readonly event?: string
  readonly decision?: string
  readonly outcome?: string
  /** A part of the SPIFFE ID. */
  readonly who?: string
  readonly cap?: string
  readonly worker?: string
  readonly status?: { readonly from: number; readonly to: number }
  /** A part of a reason, an error or an exception, in any case. */
  readonly text?: string
  readonly since?: number
  readonly until?: number
}

export function traitsOf(record: RecordMembers): Traits {
  const { status } = record
  const attempts = listIn(record['attempts_made'])
  return {
    event: textIn(record['event']),
    who: textIn(record['requester_spiffe_id']),
    caps: lines([record['capability'], ...listIn(record['capabilities'])]),
    decision: rulingIn(record) ?? '',
    outcome: textIn(record['outcome']),
    workers: lines([record['worker_id'], ...attempts.map((attempt) => memberOf(attempt, 'worker_id'))]),
    status: typeof status === 'number' && Number.isInteger(status) ? status : 0,
    texts: lines([
      ...reasonsIn(record).flatMap(({ code, message }) => [code, message]),
      record['error'],
      record['reason'],
      record['exception'],
      ...attempts.map((attempt) => memberOf(attempt, 'error')),
    ]),
  }
}

/** For each text trait that the query asks for: whether a value of it fits. */
export function textTests(query: AuditQuery): [trait: TextTrait, fits: (value: string) => boolean][] {
  const { event, decision, outcome, who, cap, worker } = query
  const text = query.text?.toLowerCase()
  const tests: [TextTrait, ((value: string) => boolean) | undefined][] = [
    ['event', event === undefined ? undefined : (value) => value === event],
    ['decision', decision === undefined ? undefined : (value) => value === decision],
    ['outcome', outcome === undefined ? undefined : (value) => value === outcome],
    ['who', who === undefined ? undefined : (value) => value !== '' && value.includes(who)],
    ['caps', cap === undefined ? undefined : (value) => value.split('\n').includes(cap)],
    ['workers', worker === undefined ? undefined : (value) => value.split('\n').includes(worker)],
    ['texts', text === undefined ? undefined : (value) => value !== '' && value.toLowerCase().includes(text)],
  ]
  return tests.filter((test): test is [TextTrait, (value: string) => boolean] => test[1] !== undefined)
}

/** Whether the records of a call, one or two, have all that is asked for. Times aside. */
export function fits(query: AuditQuery, records: readonly RecordMembers[]): boolean {
  const all = records.map(traitsOf)
  const { status } = query
  if (status !== undefined && !all.some((own) => own.status >= status.from && own.status <= status.to)) return false
  return textTests(query).every(([trait, isAsked]) => all.some((own) => isAsked(own[trait])))
}

export function isInTime({ since, until }: AuditQuery, timeMs: number): boolean {
  return (since === undefined || timeMs >= since) && (until === undefined || timeMs < until)
}

/** Each once: a call with one attempt names its worker twice. */
function lines(values: readonly unknown[]): string {
  return [...new Set(values.filter(isText))].join('\n')
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as RecordMembers)[name] : undefined
}

function textIn(value: unknown): string {
  return isText(value) ? value : ''
}
