// The policy folder and the admin URL of the controller, for every command: the option, else the variable, else the default
// of the controller's schema. (State folder and audit log: client-config.ts and audit-config.ts.)
import Type from 'typebox'
import { loadConfig } from '../platform/env.ts'
import { placeSettings } from '../platform/settings.ts'

const PolicyDirEnv = Type.Object({ CRANK_POLICY_DIR: placeSettings.CRANK_POLICY_DIR })
const AdminUrlEnv = Type.Object({
  CRANK_ADMIN_URL: Type.String({
    default: 'http://127.0.0.1:9001',
    pattern: '^https?://[^/]+$',
    allowed: 'an http URL without a path, such as http://127.0.0.1:9001',
  }),
})

/** @throws {ConfigError} for an invalid value */
export function policyDirOf({ policy }: { policy?: string | undefined }, env = process.env): string {
  return loadConfig(PolicyDirEnv, { env, flags: { CRANK_POLICY_DIR: policy } }).CRANK_POLICY_DIR
}

/** `http://host:port`. @throws {ConfigError} for an invalid value */
export function adminUrlOf({ adminUrl }: { adminUrl?: string | undefined }, env = process.env): string {
  return loadConfig(AdminUrlEnv, { env, flags: { CRANK_ADMIN_URL: adminUrl } }).CRANK_ADMIN_URL
}
