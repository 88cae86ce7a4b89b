// The exceptions of the policy data as decisions name them, and all that makes a well-formed one; without the schema compiler,
// whose loading takes longer than most commands. What is wrong with a malformed one is said by exceptions.ts.
import { createHash } from 'node:crypto'
import { isCapability, parseCapability, type Capability } from '../../core/capability.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import type { PlacedFault } from './fault-place.ts'
import { entriesOf, isRecord } from './json-object.ts'

/** An exception as decisions name it: `<spiffe id>#*` for every capability, else one for each capability of an entry. */
export type ExceptionEntry = {
  readonly name: string
  /** 8 hex digits that replace the name where it is too long, as in metric labels. */
  readonly id: string
  readonly spiffeId: SpiffeId
  readonly all: boolean
  /** The capability in the name; empty for `all`. */
  readonly capabilities: readonly Capability[]
  /** Unix nanoseconds; the exception ends at this instant. */
  readonly expiresAfterNs: bigint
  readonly createdAt: string
  readonly owner: string
  readonly reason: string
}

/** `nowMs`: Unix time; without it the check how far ahead an exception ends is skipped. */
export type ExceptionLimits = { readonly nowMs?: number | undefined; readonly maxDays?: number | undefined }

/** The default of policies/common.rego, unless data.exception_limits sets another value. */
export const DEFAULT_MAX_DAYS = 90
export const NS_PER_MS = 1_000_000n
/** The year 1973. Today's time in seconds, milliseconds or microseconds is a smaller number. */
const FIRST_SENSIBLE_NS = 100_000_000_000_000_000n
const NS_PER_DAY = 86_400_000n * NS_PER_MS
/** RFC 3339 in UTC. `lifetimeFaults` checks whether the month has that day. */
export const UTC_TIME = '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3])(:[0-5]\\d){2}(\\.\\d{1,9})?Z$'
/** The message of an editor and of the log for an invalid caller. */
export const ID_RULE = 'must be a SPIFFE ID such as spiffe://crank.local/worker/streaming'
/** The message of an editor and of the log for an invalid time. */
export const TIME_RULE = 'must be a time in UTC such as 2026-11-24T10:00:00Z'

/** An entry that fits its schema. */
export type Entry = {
  readonly temporary_allow_all?: boolean
  readonly capabilities?: readonly string[]
  readonly expires_after: number | bigint
  readonly created_at: string
  readonly owner: string
  readonly reason: string
}

/** The exceptions, in the order of the file, if all are well-formed: those that `parseExceptions` of exceptions.ts gives without a fault. */
export function wellFormedExceptions(value: unknown, limits: ExceptionLimits = {}): ExceptionEntry[] | undefined {
  if (!isRecord(value)) return undefined
  const found: ExceptionEntry[] = []
  for (const [id, entry] of entriesOf(value)) {
    const spiffeId = spiffeIdOf(id)
    if (spiffeId === undefined || !isEntry(entry) || lifetimeFaults(entry, limits).length > 0) return undefined
    found.push(...namedEntries(spiffeId, entry))
  }
  return found
}

const MEMBERS = new Set(['temporary_allow_all', 'capabilities', 'expires_after', 'reason', 'owner', 'created_at'])
const TIME = new RegExp(UTC_TIME)

/** Whether an entry fits its schema, ExceptionForAll or ExceptionForSome. */
function isEntry(value: unknown): value is Entry {
  if (!isRecord(value) || !Object.keys(value).every((name) => MEMBERS.has(name))) return false
  const { temporary_allow_all: all, capabilities: caps, expires_after: end, reason, owner, created_at: created } = value
  const isForAll = all === true && !('capabilities' in value)
  const isForSome = (!('temporary_allow_all' in value) || all === false) && isList(caps)
  const isLasting = typeof end === 'bigint' ? end >= 1n : Number.isInteger(end) && Number(end) >= 1
  return (
    (isForAll || isForSome) && isLasting && isText(reason) && isText(owner) && isText(created) && TIME.test(created)
  )
}

function isList(capabilities: unknown): boolean {
  return Array.isArray(capabilities) && capabilities.length > 0 && capabilities.every(isCapability)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** The short id of an exception's name. */
export function exceptionId(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 8)
}

/** One for each capability, or one for all. */
export function namedEntries(spiffeId: SpiffeId, entry: Entry): ExceptionEntry[] {
  const { capabilities = [], created_at: createdAt, owner, reason } = entry
  const common = { spiffeId, expiresAfterNs: BigInt(entry.expires_after), createdAt, owner, reason }
  const named = (scope: string) => ({ name: `${spiffeId}#${scope}`, id: exceptionId(`${spiffeId}#${scope}`) })
  if (entry.temporary_allow_all === true) return [{ ...named('*'), all: true, capabilities: [], ...common }]
  return [...new Set(capabilities.map(parseCapability))].map((capability) => {
    return { ...named(capability), all: false, capabilities: [capability], ...common }
  })
}

/** Whether it lasts too long, or its times are no such times; paths are relative to it. */
export function lifetimeFaults(entry: Entry, { nowMs, maxDays = DEFAULT_MAX_DAYS }: ExceptionLimits): PlacedFault[] {
  const createdMs = unixMs(entry.created_at)
  if (createdMs === undefined) return [{ path: 'created_at', reason: TIME_RULE }]
  const endsNs = BigInt(entry.expires_after)
  if (endsNs < FIRST_SENSIBLE_NS) {
    const year = new Date(Number(endsNs / NS_PER_MS)).getUTCFullYear()
    return [{ path: 'expires_after', reason: `must be in nanoseconds; this is ${year}` }]
  }
  const longestNs = BigInt(maxDays) * NS_PER_DAY
  if (endsNs > BigInt(createdMs) * NS_PER_MS + longestNs) {
    return [{ path: 'expires_after', reason: `must be at most ${maxDays} days after created_at` }]
  }
  if (nowMs !== undefined && endsNs > BigInt(Math.trunc(nowMs)) * NS_PER_MS + longestNs) {
    return [{ path: 'expires_after', reason: `must be at most ${maxDays} days ahead` }]
  }
  return []
}

/** Unix milliseconds of a time that matches its pattern, to the second; undefined for a day that the month does not have. */
function unixMs(text: string): number | undefined {
  const seconds = `${text.slice(0, 19)}.000Z`
  const ms = Date.parse(seconds)
  return Number.isNaN(ms) || new Date(ms).toISOString() !== seconds ? undefined : ms
}

/** Undefined for a text that is none. */
export function spiffeIdOf(text: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(text)
  } catch {
    return undefined
  }
}
