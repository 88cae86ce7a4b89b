// The identity of a command that does not call a controller, for NATS: from the files, or from a SPIFFE Workload API.
import type { TrustDomain } from '../core/spiffe-id.ts'
import { fetchCredentials } from '../platform/spiffe/fetch-once.ts'
import { identitySettings, readIdentitySource, type IdentitySource } from '../platform/settings.ts'
import { loadCredentials, type Credentials } from '../platform/tls/credentials.ts'
import { CliError, EXIT, messageOf } from './exit.ts'

/** A Workload API that does not answer is not running. */
export const WORKLOAD_API_TIMEOUT_MS = 5000

type Values = { readonly [K in keyof typeof identitySettings]?: string }

/** Undefined: none of the variables is set, or there are faults. */
export function ownIdentity(
  values: Values,
  trustDomain: TrustDomain | undefined,
  faults: string[],
): IdentitySource | undefined {
  const isSet = Object.keys(identitySettings).some((name) => values[name as keyof Values] !== undefined)
  return isSet ? readIdentitySource(values, trustDomain, faults) : undefined
}

/** @throws {CliError} `usage`, with what to do about it */
export async function readIdentity(identity: IdentitySource, now: () => number): Promise<Credentials> {
  const isFiles = identity.from === 'files'
  try {
    if (isFiles) return await loadCredentials(identity, now)
    return await fetchCredentials({ ...identity, timeoutMs: WORKLOAD_API_TIMEOUT_MS, now })
  } catch (cause: unknown) {
    const hint = isFiles ? 'for development certificates: crank cert dev-ca' : 'see what it gives: crank spiffe fetch'
    throw new CliError(EXIT.usage, messageOf(cause), { cause, hint })
  }
}
