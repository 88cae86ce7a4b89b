// The exceptions of the policy data, to show and count them: names, owners, expiry. Only policies/common.rego decides
// whether an exception lets a call pass; the same checks are repeated here to report at load which entries it will ignore.
import { ExceptionForAll, ExceptionForSome } from './data-shapes.ts'
import {
  ID_RULE,
  lifetimeFaults,
  namedEntries,
  spiffeIdOf,
  type Entry,
  type ExceptionEntry,
  type ExceptionLimits,
} from './exception-entries.ts'
import { entriesOf, isRecord } from './json-object.ts'
import { placeOf, type PlacedFault } from './fault-place.ts'
import { schemaFaults } from './schema-faults.ts'

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
