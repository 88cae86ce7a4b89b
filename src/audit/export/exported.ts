// What every export format is made of: a record with its slot, and the parts that several formats read from it.
import { isText, reasonsIn, type RecordMembers } from '../record-members.ts'

/**
 * `text`: the unchanged line; undefined when identities were replaced, since the line does not match its hash any more.
 * `slot`: of its process; from the stream of a mesh, the name of its chain. `record`: its members; without `hash` and `prev` then.
 */
export type Exported = {
  readonly slot: number | string | null
  readonly text: string | undefined
  readonly record: ExportedRecord
}

export type ExportedRecord = {
  readonly seq: number
  readonly event: string
  readonly timestamp: string
} & RecordMembers

/** How a record says that something ended: passed, stopped, or nobody knows. */
type Result = 'success' | 'failure' | 'unknown'

export const PRODUCT = 'crank-controller'

const RESULTS: Readonly<Record<string, Result>> = {
  allow: 'success',
  would_deny: 'success',
  deny: 'failure',
  error: 'failure',
  unevaluated: 'unknown',
  completed: 'success',
  caller_left: 'unknown',
  unknown: 'unknown',
}

/** The result that a decision, an outcome or a refusal has; undefined for events about the controller. */
export function resultOf({ event, decision, outcome }: ExportedRecord): Result | undefined {
  if (event.endsWith('_refused')) return 'failure'
  if (isText(decision)) return RESULTS[decision] ?? 'failure'
  return isText(outcome) ? (RESULTS[outcome] ?? 'failure') : undefined
}

/** Whether the call was let pass; undefined where no policy was asked. */
export function isLetPass({ event, decision }: ExportedRecord): boolean | undefined {
  if (event.endsWith('_refused')) return false
  return isText(decision) ? ['allow', 'would_deny', 'unevaluated'].includes(decision) : undefined
}

/** A sentence: event, who, what, and why not. */
export function messageOf(record: ExportedRecord): string {
  const { event, decision, outcome, requester_spiffe_id: who, capability } = record
  const parts = [event, decision ?? outcome, who, capability, reasonOf(record)]
  return parts.filter(isText).join(' ')
}

/** Why not: the sentences of the policy, or the error. */
export function reasonOf(record: ExportedRecord): string | undefined {
  const { error, reason } = record
  const said = [...reasonsIn(record).map(({ message }) => message), reason, error].filter(isText)
  return said.length === 0 ? undefined : said.join('; ')
}

/** The code of the first reason, or of the error. */
export function codeOf(record: ExportedRecord): string | undefined {
  return reasonsIn(record)[0]?.code ?? textOf(record, 'error')
}

/** Unique in the log of a controller, and in the stream of a mesh. */
export function idOf({ slot, record }: Exported): string {
  return `${slot ?? 'file'}-${record.seq}`
}

export function textOf(record: RecordMembers, name: string): string | undefined {
  const value = record[name]
  return isText(value) ? value : undefined
}

export function numberOf(record: RecordMembers, name: string): number | undefined {
  const value = record[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The trust domain of a SPIFFE ID. */
export function domainOf(spiffeId: string): string | undefined {
  return /^spiffe:\/\/([^/]+)/.exec(spiffeId)?.[1]
}

/** Removes members without a value, and objects and lists that are then empty. */
export function compact(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    const kept = isPlainObject(member) ? compact(member) : member
    if (kept === undefined || kept === null || isEmpty(kept)) continue
    all[name] = kept
  }
  return all
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
