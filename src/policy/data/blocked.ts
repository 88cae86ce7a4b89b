// Blocked identities, capabilities and certificates: `data.blocked`. The controller reads it itself, so that shadow mode cannot let a
// blocked caller pass while the policy engine is down.
import { entriesOf, isRecord } from './json-object.ts'

/**
 * Names of blocked identities, capabilities and certificates. As in Rego, every entry counts regardless of its value. The policy
 * never sees a certificate: only the controller checks those, `sha256:<fingerprint>` or `<issuer key id>:<serial number>`.
 */
export type Blocked = {
  readonly identities: ReadonlySet<string>
  readonly capabilities: ReadonlySet<string>
  readonly certificates: ReadonlySet<string>
}

/** An invalid block list; `message` begins with its path. */
class BlockedError extends Error {
  override readonly name = 'BlockedError'
}

/** Reads `data.blocked`; without it nothing is blocked. @throws {BlockedError} for an invalid shape. */
export function parseBlocked(value: unknown): Blocked {
  if (value !== undefined && !isRecord(value)) throw new BlockedError('blocked: must be an object')
  return {
    identities: names(value, 'identities'),
    capabilities: names(value, 'capabilities'),
    certificates: names(value, 'certificates'),
  }
}

function names(blocked: Readonly<Record<string, unknown>> | undefined, section: string): ReadonlySet<string> {
  const entries = blocked?.[section]
  if (entries !== undefined && !isRecord(entries)) throw new BlockedError(`blocked.${section}: must be an object`)
  return new Set(entriesOf(entries).map(([name]) => name))
}
