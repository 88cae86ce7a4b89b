// Reads the members of a record. A log outlives the code that wrote it, and another program may have written to the file: a
// member of an unexpected type counts as absent, and never breaks a reader.
import { parseCapability, type Capability } from '../core/capability.ts'
import type { Reason } from '../core/decision.ts'
import { isRuling, type Ruling } from '../core/ruling.ts'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'

/** A record, whether or not its chain was checked. */
export type RecordMembers = Readonly<Record<string, unknown>>

/** The ruling on the question to the policy; undefined in a record of another kind. */
export function rulingIn({ decision }: RecordMembers): Ruling | undefined {
  return isRuling(decision) ? decision : undefined
}

export function reasonsIn({ reasons }: RecordMembers): readonly Reason[] {
  return Array.isArray(reasons) ? reasons.filter(isReason) : []
}

export function groundsIn({ grounds }: RecordMembers): readonly string[] {
  return Array.isArray(grounds) ? grounds.filter(isText) : []
}

/** The name of the exception that applied or was considered. */
export function exceptionIn({ exception }: RecordMembers): string | null {
  return isText(exception) ? exception : null
}

/** Caller and capability of a decision on a call. Undefined for other records, and for a blocked identity, which has no capability. */
export function callIn(
  record: RecordMembers,
): { readonly spiffeId: SpiffeId; readonly capability: Capability } | undefined {
  const { event, requester_spiffe_id: requester, capability } = record
  if (event !== 'policy_decision' || !isText(requester) || !isText(capability)) return undefined
  try {
    return { spiffeId: parseSpiffeId(requester), capability: parseCapability(capability) }
  } catch {
    return undefined
  }
}

export function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isReason(value: unknown): value is Reason {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    isText(value.code) &&
    'message' in value &&
    isText(value.message)
  )
}
