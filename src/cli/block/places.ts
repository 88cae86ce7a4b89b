// Where a block is written, and by whom: the policy folder that is here, the bucket of the mesh with CRANK_NATS_URL.
import { hostname, userInfo } from 'node:os'
import { stat } from 'node:fs/promises'
import Type from 'typebox'
import { checkConfig } from '../../platform/env.ts'
import { ConfigError } from '../../platform/setting-fault.ts'
import { natsSettings, parseNatsSettings, type NatsTarget } from '../../platform/nats/nats-settings.ts'
import { optionalText, readSetting, readTrustDomain, tlsSettings } from '../../platform/settings.ts'
import { loadCredentials, type Credentials } from '../../platform/tls/credentials.ts'
import { CliError, EXIT, messageOf } from '../exit.ts'
import { environment } from '../environment.ts'
import { policyDirOf } from '../places.ts'

export type BlockPlaces = {
  /** The policy folder; undefined: there is none here, and a mesh is enough. */
  readonly dir: string | undefined
  /** Undefined: CRANK_NATS_URL is not set. */
  readonly mesh: { readonly target: NatsTarget; readonly credentials: Credentials } | undefined
  /** Who blocks: a SPIFFE ID, or without a certificate the user of this machine. */
  readonly by: string
}

const BlockEnv = Type.Object({
  ...natsSettings,
  CRANK_TRUST_DOMAIN: tlsSettings.CRANK_TRUST_DOMAIN,
  CRANK_TLS_CERT: optionalText({ description: 'certificate of the operator' }),
  CRANK_TLS_KEY: optionalText({ description: 'its private key' }),
  CRANK_TLS_BUNDLE: optionalText({ description: 'trust bundle' }),
})

/** @throws {ConfigError | CliError} when a setting or the certificate cannot be used */
export async function blockPlaces(options: { policy?: string | undefined }): Promise<BlockPlaces> {
  const env = environment()
  const { values, faults } = checkConfig(BlockEnv, { env })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  if (trustDomain === undefined) throw new ConfigError(faults)
  const target = parseNatsSettings(values, trustDomain, faults)
  if (faults.length > 0) throw new ConfigError(faults)
  const { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath } = values
  const isWhole = certFile !== undefined && keyFile !== undefined && bundlePath !== undefined
  const reading = isWhole ? loadCredentials({ certFile, keyFile, bundlePath, trustDomain }, Date.now) : undefined
  if (target === undefined) {
    // Without a mesh the certificate only says who blocks: an old one must not keep anybody from it.
    const credentials = await reading?.catch(() => undefined)
    return {
      dir: policyDirOf(options),
      mesh: undefined,
      by: credentials?.spiffeId ?? `${userInfo().username}@${hostname()}`,
    }
  }
  if (reading === undefined) {
    const needed = 'CRANK_NATS_URL needs CRANK_TLS_CERT, CRANK_TLS_KEY and CRANK_TLS_BUNDLE'
    throw new CliError(EXIT.usage, needed, { hint: 'the certificate of an operator: NATS lets nobody else block' })
  }
  const credentials = await reading.catch((cause: unknown) => {
    throw new CliError(EXIT.usage, messageOf(cause), { cause })
  })
  return { dir: await folderHere(options), mesh: { target, credentials }, by: credentials.spiffeId }
}

/** One that was named must exist; the default one may be missing where a mesh is. */
async function folderHere(options: { policy?: string | undefined }): Promise<string | undefined> {
  const dir = policyDirOf(options)
  const isNamed = (options.policy ?? environment()['CRANK_POLICY_DIR'] ?? '') !== ''
  const found = await stat(dir).catch(() => undefined)
  return isNamed || found?.isDirectory() === true ? dir : undefined
}
