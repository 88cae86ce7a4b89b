// The NATS servers of the mesh, and who asks them: for commands that an operator or an auditor runs.
import Type from 'typebox'
import { checkConfig, refuseWeakening } from '../platform/env.ts'
import { ConfigError, fault } from '../platform/setting-fault.ts'
import { natsSettings, parseNatsSettings, type NatsTarget } from '../platform/nats/nats-settings.ts'
import { optionalText, readSetting, readTrustDomain, tlsSettings } from '../platform/settings.ts'
import { loadCredentials, type Credentials } from '../platform/tls/credentials.ts'
import { CliError, EXIT, messageOf } from './exit.ts'

/** `credentials` undefined: plain text on this machine, where nobody is asked who they are. */
export type NatsClient = { readonly target: NatsTarget; readonly credentials: Credentials | undefined }

const NatsEnv = Type.Object({
  ...natsSettings,
  CRANK_TRUST_DOMAIN: tlsSettings.CRANK_TRUST_DOMAIN,
  CRANK_TLS_CERT: optionalText({ description: 'certificate of the operator' }),
  CRANK_TLS_KEY: optionalText({ description: 'its private key' }),
  CRANK_TLS_BUNDLE: optionalText({ description: 'trust bundle' }),
})

/**
 * From CRANK_NATS_URL, CRANK_NATS_ID and CRANK_TLS_*.
 * @throws {ConfigError} for a value that cannot be used. @throws {CliError} `usage` when the certificate cannot
 */
export async function readNatsClient(env: NodeJS.ProcessEnv, now: () => number): Promise<NatsClient> {
  refuseWeakening(env, process.execArgv)
  const { values, faults } = checkConfig(NatsEnv, { env, flags: {} })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  if (trustDomain === undefined) throw new ConfigError(faults)
  const target = parseNatsSettings(values, trustDomain, faults)
  if (target === undefined && faults.length === 0)
    faults.push(
      fault('CRANK_NATS_URL', '', 'must name the NATS servers of the mesh, such as tls://nats-1.internal:4222'),
    )
  const { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath } = values
  if (faults.length > 0 || target === undefined) throw new ConfigError(faults)
  if (!target.isTls) return { target, credentials: undefined }
  if (certFile === undefined || keyFile === undefined || bundlePath === undefined) {
    const hint = 'the certificate of an identity that may read the stream'
    throw new CliError(EXIT.usage, 'CRANK_TLS_CERT, CRANK_TLS_KEY and CRANK_TLS_BUNDLE must be given together', {
      hint,
    })
  }
  try {
    const files = { certFile, keyFile, bundlePath, trustDomain }
    return { target, credentials: await loadCredentials(files, now) }
  } catch (cause: unknown) {
    throw new CliError(EXIT.usage, messageOf(cause), { cause })
  }
}
