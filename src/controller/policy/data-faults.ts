// Entries of the policy data that Rego will not honour. The policy drops them by itself, which nobody sees: these
// sentences are for the log, once, when the data is loaded.
import { CAPABILITY_WORD } from '../../core/capability.ts'
import { parseSpiffeId } from '../../core/spiffe-id.ts'

/** The policy data as JSON.parse gives it: good for looking at, not for handing on (19-digit integers are rounded). */
export type PolicyData = Readonly<Record<string, unknown>>

const CAPABILITY = new RegExp(`${CAPABILITY_WORD.slice(0, -1)}:${CAPABILITY_WORD.slice(1)}`)
/** `max_exception_lifetime_ns` of policies/common.rego. */
const MAX_EXCEPTION_LIFETIME_MS = 90 * 24 * 60 * 60 * 1000

/** One sentence for each entry that has no effect, or not the one it seems to have. `nowMs`: Unix time. */
export function findDataFaults(data: PolicyData, nowMs: number): readonly string[] {
  const workers = entriesOf(data['workers']).flatMap(([id, entry]) => workerFaults(id, entry))
  const exceptions = entriesOf(data['exceptions']).flatMap(([id, entry]) => exceptionFaults(id, entry, nowMs))
  return [...workers, ...exceptions]
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The members of a JSON object; none for anything else. */
export function entriesOf(value: unknown): [string, unknown][] {
  return isRecord(value) ? Object.entries(value) : []
}

function workerFaults(id: string, entry: unknown): string[] {
  const where = `worker ${JSON.stringify(id)}`
  if (!isSpiffeId(id)) return [`${where}: not a SPIFFE ID`]
  if (!isRecord(entry)) return [`${where}: not an object`]
  return ['required_capabilities', 'provided_capabilities'].flatMap((field) => {
    return areCapabilities(entry[field]) ? [] : [`${where}: ${field} is not a list of verb:name`]
  })
}

function exceptionFaults(id: string, entry: unknown, nowMs: number): string[] {
  const where = `exception ${JSON.stringify(id)}`
  if (!isSpiffeId(id)) return [`${where}: not a SPIFFE ID`]
  if (!isRecord(entry)) return [`${where}: not an object`]
  const faults: string[] = []
  if (entry['temporary_allow_all'] !== true && !areCapabilities(entry['capabilities'])) {
    faults.push(`${where}: neither temporary_allow_all nor a list of capabilities`)
  }
  const expiry = entry['expires_after']
  if (typeof expiry !== 'number') faults.push(`${where}: expires_after is not a number of nanoseconds`)
  else if (expiry / 1e6 > nowMs + MAX_EXCEPTION_LIFETIME_MS) faults.push(`${where}: expires more than 90 days ahead`)
  return faults
}

function isSpiffeId(text: string): boolean {
  try {
    parseSpiffeId(text)
    return true
  } catch {
    return false
  }
}

function areCapabilities(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && CAPABILITY.test(item))
}
