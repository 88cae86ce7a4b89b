// The exceptions of the policy data, to show and count them: names, owners, expiry. Only policies/common.rego decides
// whether an exception lets a call pass; the same checks are repeated here to report at load which entries it will ignore.
import { createHash } from 'node:crypto'
import { parseCapability, type Capability } from '../../core/capability.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts'
import { ExceptionForAll, ExceptionForSome, ID_RULE, TIME_RULE } from './data-shapes.ts'
import { entriesOf, isRecord } from './json-object.ts'
import { placeOf, schemaFaults, type PlacedFault } from './schema-faults.ts'

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

/** The valid exceptions, in the order of the file, and the faults of the others. */
export function parseExceptions(
  value: unknown,
  limits: ExceptionLimits = {},
): { readonly entries: readonly ExceptionEntry[]; readonly faults: readonly PlacedFault[] } {
  if (!isRecord(value)) return { entries: [], faults: [{ path: '', reason: 'must be an object' }] }
  const entries: ExceptionEntry[] = []
  const faults: PlacedFault[] = []
  for (const [id, entry] of entriesOf(value)) {
    const spiffeId = spiffeIdOf(id)
    const found = spiffeId === undefined ? [{ path: '', reason: ID_RULE }] : exceptionFaults(entry, limits)
    const where = placeOf('', id)
    faults.push(...found.map(({ path, reason }) => ({ path: path === '' ? where : `${where}.${path}`, reason })))
    if (spiffeId !== undefined && found.length === 0) entries.push(...namedEntries(spiffeId, entry as Entry))
  }
  return { entries, faults }
}

/** The faults of one entry; paths are relative to it. */
export function exceptionFaults(entry: unknown, limits: ExceptionLimits): PlacedFault[] {
  if (!isRecord(entry)) return [{ path: '', reason: 'must be an object' }]
  const schema = entry['temporary_allow_all'] === true ? ExceptionForAll : ExceptionForSome
  const { expires_after: expiry } = entry
  // The schema does not support BigInt; the exact comparison of the expiry is below.
  const faults = schemaFaults(schema, typeof expiry === 'bigint' ? { ...entry, expires_after: Number(expiry) } : entry)
  return faults.length > 0 ? faults : lifetimeFaults(entry as Entry, limits)
}

/** The short id of an exception's name. */
export function exceptionId(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 8)
}

/** An entry that fits its schema. */
type Entry = {
  readonly temporary_allow_all?: boolean
  readonly capabilities?: readonly string[]
  readonly expires_after: number | bigint
  readonly created_at: string
  readonly owner: string
  readonly reason: string
}

function namedEntries(spiffeId: SpiffeId, entry: Entry): ExceptionEntry[] {
  const { capabilities = [], created_at: createdAt, owner, reason } = entry
  const common = { spiffeId, expiresAfterNs: BigInt(entry.expires_after), createdAt, owner, reason }
  const named = (scope: string) => ({ name: `${spiffeId}#${scope}`, id: exceptionId(`${spiffeId}#${scope}`) })
  if (entry.temporary_allow_all === true) return [{ ...named('*'), all: true, capabilities: [], ...common }]
  return [...new Set(capabilities.map(parseCapability))].map((capability) => {
    return { ...named(capability), all: false, capabilities: [capability], ...common }
  })
}

function lifetimeFaults(entry: Entry, { nowMs, maxDays = DEFAULT_MAX_DAYS }: ExceptionLimits): PlacedFault[] {
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

function spiffeIdOf(text: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(text)
  } catch {
    return undefined
  }
}
