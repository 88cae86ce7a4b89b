// Who and what is blocked: `data.blocked`, read by the controller itself so that shadow mode cannot let a blocked caller
// pass while the policy engine is down.
import { entriesOf, isRecord } from './json-object.ts'

/** Names of blocked identities and capabilities. As in Rego every entry counts, whatever its value is. */
export type Blocked = { readonly identities: ReadonlySet<string>; readonly capabilities: ReadonlySet<string> }

/** A block list that cannot be read; `message` begins with its path. */
class BlockedError extends Error {
  override readonly name = 'BlockedError'
}

/** Reads `data.blocked`; nobody is blocked without it. @throws {BlockedError} for another shape: it would block nobody. */
export function parseBlocked(value: unknown): Blocked {
  if (value !== undefined && !isRecord(value)) throw new BlockedError('blocked: must be an object')
  return { identities: names(value, 'identities'), capabilities: names(value, 'capabilities') }
}

function names(blocked: Readonly<Record<string, unknown>> | undefined, section: string): ReadonlySet<string> {
  const entries = blocked?.[section]
  if (entries !== undefined && !isRecord(entries)) throw new BlockedError(`blocked.${section}: must be an object`)
  return new Set(entriesOf(entries).map(([name]) => name))
}
