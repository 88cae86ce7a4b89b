// The policy folder, the trust domain and the admin URL of the controller, for every command: the option, else the variable, else the default
// of the controller's schema. Read without the schema compiler, which takes longer to load than most commands to answer.
// (State folder and audit log: client-config.ts and audit-config.ts.)
import { parseTrustDomain, SpiffeIdError, type TrustDomain } from '../core/spiffe-id.ts'
import { DEFAULT_POLICY_DIR, DEFAULT_TRUST_DOMAIN } from '../platform/default-places.ts'
import { ConfigError, fault } from '../platform/setting-fault.ts'
import { environment } from './environment.ts'

const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9001'
const ADMIN_URL = /^https?:\/\/[^/]+$/

export function policyDirOf({ policy }: { policy?: string | undefined }, env = environment()): string {
  return firstSet(policy, env['CRANK_POLICY_DIR']) ?? DEFAULT_POLICY_DIR
}

/** `http://host:port`. @throws {ConfigError} for an invalid value */
export function adminUrlOf({ adminUrl }: { adminUrl?: string | undefined }, env = environment()): string {
  const url = firstSet(adminUrl, env['CRANK_ADMIN_URL']) ?? DEFAULT_ADMIN_URL
  if (ADMIN_URL.test(url)) return url
  throw new ConfigError([
    fault('CRANK_ADMIN_URL', url, `must be an http URL without a path, such as ${DEFAULT_ADMIN_URL}`),
  ])
}

/** @throws {ConfigError} for an invalid value */
export function trustDomainOf({ trustDomain }: { trustDomain?: string | undefined }, env = environment()): TrustDomain {
  const text = firstSet(trustDomain, env['CRANK_TRUST_DOMAIN']) ?? DEFAULT_TRUST_DOMAIN
  try {
    return parseTrustDomain(text)
  } catch (cause: unknown) {
    if (!(cause instanceof SpiffeIdError)) throw cause
    throw new ConfigError([fault('CRANK_TRUST_DOMAIN', text, `must be a trust domain: ${cause.message}`)])
  }
}

/** A flag takes precedence; an empty value counts as unset. */
export function firstSet(...values: readonly (string | undefined)[]): string | undefined {
  return values.find((value) => value !== undefined && value !== '')
}
