// The policy folder, the trust domain and the admin URL of the controller, for every command: the option, else the variable, else the default
// of the controller's schema. (State folder and audit log: client-config.ts and audit-config.ts.)
import Type from 'typebox'
import { loadConfig } from '../platform/env.ts'
import { placeSettings, tlsSettings } from '../platform/settings.ts'
import { environment } from './environment.ts'

const PolicyDirEnv = Type.Object({ CRANK_POLICY_DIR: placeSettings.CRANK_POLICY_DIR })
const TrustDomainEnv = Type.Object({ CRANK_TRUST_DOMAIN: tlsSettings.CRANK_TRUST_DOMAIN })
const AdminUrlEnv = Type.Object({
  CRANK_ADMIN_URL: Type.String({
    default: 'http://127.0.0.1:9001',
    pattern: '^https?://[^/]+$',
    allowed: 'an http URL without a path, such as http://127.0.0.1:9001',
  }),
})

/** @throws {ConfigError} for an invalid value */
export function policyDirOf({ policy }: { policy?: string | undefined }, env = environment()): string {
  return loadConfig(PolicyDirEnv, { env, flags: { CRANK_POLICY_DIR: policy } }).CRANK_POLICY_DIR
}

/** `http://host:port`. @throws {ConfigError} for an invalid value */
export function adminUrlOf({ adminUrl }: { adminUrl?: string | undefined }, env = environment()): string {
  return loadConfig(AdminUrlEnv, { env, flags: { CRANK_ADMIN_URL: adminUrl } }).CRANK_ADMIN_URL
}

/** As text: its parser is in core/spiffe-id.ts. */
export function trustDomainOf({ trustDomain }: { trustDomain?: string | undefined }, env = environment()): string {
  return loadConfig(TrustDomainEnv, { env, flags: { CRANK_TRUST_DOMAIN: trustDomain } }).CRANK_TRUST_DOMAIN
}
