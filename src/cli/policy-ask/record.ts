// The ids of a request in the audit logs, and the content of its records.
import type { ChainedRecord } from '../../audit/chain.ts'
import { reasonsIn } from '../../audit/record-members.ts'

const TRACE_ID = /^[\da-f]{32}$/i
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

/** Whether a text can be a decision id. */
export function isDecisionId(text: string): boolean {
  return UUID.test(text)
}

/** Whether a text can be a trace id. */
export function isTraceId(text: string): boolean {
  return TRACE_ID.test(text)
}

/** The codes of the reasons. */
export function codesOf(record: ChainedRecord): string[] {
  return reasonsIn(record).map(({ code }) => code)
}

/** The content of the record, line by line. */
export function factsOf(record: ChainedRecord): [name: string, value: string][] {
  const text = (name: string): string => textOf(record, name)
  const reasons = reasonsIn(record).map(({ code, message }): [string, string] => ['reason', `${code}: ${message}`])
  const facts: [string, string][] = [
    ['when', record.timestamp],
    ['who', text('requester_spiffe_id') || text('remote_address')],
    ['what', text('capability') || listed(record['capabilities'])],
    ['worker', text('worker_id')],
    ['decision', [text('decision'), text('mode') && `(${text('mode')})`].filter(Boolean).join(' ')],
    ...reasons,
    ['error', text('error')],
    ['refused', record.event.endsWith('_refused') ? text('reason') || 'before the policy was asked' : ''],
    ['grounds', listed(record['grounds'])],
    ['exception', text('exception')],
    [
      'policy',
      text('policy_revision') && `revision ${text('policy_revision')}, version ${text('policy_version') || '-'}`,
    ],
    ['engine', text('engine') && `${text('engine')}, ${text('evaluation_time_ms')} ms`],
    ['repeats', text('repeats')],
    ['route', text('route')],
    ['trace', text('trace_id')],
    ['decision id', text('decision_id')],
  ]
  return facts.filter(([, value]) => value !== '')
}

/** The outcome of the call. */
export function outcomeOf(record: ChainedRecord): string {
  const text = (name: string): string => textOf(record, name)
  const status = text('status') === '' ? 'no answer' : `status ${text('status')}`
  const by = text('worker_id') === '' ? 'no worker' : text('worker_id')
  const error = text('error') === '' ? '' : `, ${text('error')}`
  return `${text('outcome')}: ${status}, ${by}, ${text('duration_ms')} ms, attempts ${text('attempts')}${error}`
}

function listed(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : ''
}

function textOf(record: ChainedRecord, name: string): string {
  const value = record[name]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
