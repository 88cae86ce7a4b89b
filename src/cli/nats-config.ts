// The NATS servers of the mesh, and who asks them: for commands that an operator or an auditor runs.
import Type, { type Static } from 'typebox'
import type { TrustDomain } from '../core/spiffe-id.ts'
import { checkConfig, refuseWeakening } from '../platform/env.ts'
import { ConfigError, fault } from '../platform/setting-fault.ts'
import { natsSettings, parseNatsSettings, type NatsTarget } from '../platform/nats/nats-settings.ts'
import { readSetting, readTrustDomain, tlsSettings } from '../platform/settings.ts'
import type { Credentials } from '../platform/tls/credentials.ts'
import { CliError, EXIT } from './exit.ts'
import { ownIdentity, readIdentity } from './own-identity.ts'

/** `credentials` undefined: plain text on this machine, where nobody is asked who they are. */
export type NatsClient = { readonly target: NatsTarget; readonly credentials: Credentials | undefined }

export const NEEDS_IDENTITY =
  'CRANK_NATS_URL needs an identity that NATS knows: CRANK_TLS_CERT, CRANK_TLS_KEY and CRANK_TLS_BUNDLE, or SPIFFE_ENDPOINT_SOCKET'

const NatsEnv = Type.Object({
  ...natsSettings,
  ...tlsSettings,
})

/** `target` undefined: CRANK_NATS_URL is not set, or there are faults. */
type NatsSettings = {
  readonly values: Partial<Static<typeof NatsEnv>>
  readonly trustDomain: TrustDomain
  readonly target: NatsTarget | undefined
  readonly faults: string[]
}

/** @throws {ConfigError} without a usable trust domain, and for a variable that would weaken TLS */
export function readNatsSettings(env: NodeJS.ProcessEnv): NatsSettings {
  const { values, faults } = checkConfig(NatsEnv, { env })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  if (trustDomain === undefined) throw new ConfigError(faults)
  const target = parseNatsSettings(values, trustDomain, faults)
  if (target !== undefined) refuseWeakening(env, process.execArgv)
  return { values, trustDomain, target, faults }
}

/**
 * From CRANK_NATS_URL, CRANK_NATS_ID, and the variables of an identity.
 * @throws {ConfigError} for a value that cannot be used. @throws {CliError} `usage` when the certificate cannot
 */
export async function readNatsClient(env: NodeJS.ProcessEnv, now: () => number): Promise<NatsClient> {
  const { values, trustDomain, target, faults } = readNatsSettings(env)
  if (target === undefined && faults.length === 0)
    faults.push(
      fault('CRANK_NATS_URL', '', 'must name the NATS servers of the mesh, such as tls://nats-1.internal:4222'),
    )
  const identity = ownIdentity(values, trustDomain, faults)
  if (faults.length > 0 || target === undefined) throw new ConfigError(faults)
  if (!target.isTls) return { target, credentials: undefined }
  if (identity === undefined) throw new CliError(EXIT.usage, NEEDS_IDENTITY)
  return { target, credentials: await readIdentity(identity, now) }
}
