// What the members of a record say, for readers. A log outlives the code that wrote it, and anybody may have written to the
// file: a member of another type than ours counts as absent, and never breaks a reader.
import { parseCapability, type Capability } from '../core/capability.ts'
import type { Reason } from '../core/decision.ts'
import { isRuling, type Ruling } from '../core/ruling.ts'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'

/** A record, its chain checked or not. */
export type RecordMembers = Readonly<Record<string, unknown>>

/** What became of the question to the policy; undefined in a record of another kind. */
export function rulingIn({ decision }: RecordMembers): Ruling | undefined {
  return isRuling(decision) ? decision : undefined
}

export function reasonsIn({ reasons }: RecordMembers): readonly Reason[] {
  return Array.isArray(reasons) ? reasons.filter(isReason) : []
}

export function groundsIn({ grounds }: RecordMembers): readonly string[] {
  return Array.isArray(grounds) ? grounds.filter(isText) : []
}

/** The name of the exception that the decision was made by or failed on. */
export function exceptionIn({ exception }: RecordMembers): string | null {
  return isText(exception) ? exception : null
}

/** Who wanted to call what. Undefined for no decision on a call, and for a blocked identity: what it wanted was not looked at. */
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
