// Settings of a command that calls the controller, from options and environment.
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../core/spiffe-id.ts'
import type { CredentialFiles } from '../platform/tls/credentials.ts'
import { DEFAULT_STATE_DIR } from '../platform/default-places.ts'
import { devCredentialFiles } from '../platform/tls/dev-pki.ts'
import { checkConfig } from '../platform/env.ts'
import { ConfigError } from '../platform/setting-fault.ts'
import {
  optionalText,
  placeSettings,
  readSetting,
  readSpiffeId,
  readTrustDomain,
  tlsSettings,
} from '../platform/settings.ts'
import { CliError, EXIT } from './exit.ts'
import type { ClientOptions } from './options.ts'

export type ClientConfig = {
  /** `https://host:port` */
  readonly controllerUrl: string
  readonly controllerId: SpiffeId
  readonly stateDir: string
  readonly files: CredentialFiles
  /** Set when no caller was chosen. */
  readonly isDefaultCaller?: boolean
}

/** Certificates of `crank cert dev-ca`, inside the state folder. */
export const PKI_FOLDER = 'pki'
/** The caller if none is named and no certificate is set. */
const DEFAULT_CALLER = 'streaming'

const StateEnv = Type.Object({
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  CRANK_TRUST_DOMAIN: tlsSettings.CRANK_TRUST_DOMAIN,
})
const ClientEnv = Type.Object({
  ...StateEnv.properties,
  CONTROLLER_URL: Type.String({ default: 'https://127.0.0.1:9000' }),
  CRANK_CONTROLLER_ID: optionalText({ description: 'SPIFFE ID of the controller' }),
  CRANK_TLS_CERT: optionalText({ description: 'certificate of the caller' }),
  CRANK_TLS_KEY: optionalText({ description: 'its private key' }),
  CRANK_TLS_BUNDLE: optionalText({ description: 'trust bundle' }),
})
type ClientEnv = Static<typeof ClientEnv>

/** State folder and trust domain. @throws {ConfigError} for an invalid trust domain */
export function readStateConfig(
  options: { stateDir?: string | undefined; trustDomain?: string | undefined },
  env: NodeJS.ProcessEnv,
): { stateDir: string; trustDomain: TrustDomain } {
  const flags = { CRANK_STATE_DIR: options.stateDir, CRANK_TRUST_DOMAIN: options.trustDomain }
  const { values, faults } = checkConfig(StateEnv, { env, flags })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  if (trustDomain === undefined || values.CRANK_STATE_DIR === undefined) throw new ConfigError(faults)
  return { stateDir: values.CRANK_STATE_DIR, trustDomain }
}

/**
 * The controller and the identity of the caller. The certificate is that of `--cert`, else `--as`, else CRANK_TLS_*,
 * else the streaming worker's development certificate.
 * @throws {ConfigError} for unusable values
 * @throws {CliError} `usage` for an incomplete set of certificate, key and bundle
 */
export function readClientConfig(options: ClientOptions, env: NodeJS.ProcessEnv): ClientConfig {
  const flags = { CONTROLLER_URL: options.controllerUrl, CRANK_STATE_DIR: options.stateDir }
  const { values, faults } = checkConfig(ClientEnv, { env, flags })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  const controllerId = readSetting('CRANK_CONTROLLER_ID', values.CRANK_CONTROLLER_ID, readSpiffeId, faults)
  const controllerUrl = readSetting('CONTROLLER_URL', values.CONTROLLER_URL, readControllerUrl, faults)
  if (faults.length > 0 || trustDomain === undefined || controllerUrl === undefined) throw new ConfigError(faults)
  return {
    controllerUrl,
    controllerId: controllerId ?? parseSpiffeId(`spiffe://${trustDomain}/controller`),
    stateDir: values.CRANK_STATE_DIR ?? DEFAULT_STATE_DIR,
    files: chooseFiles(options, values, trustDomain),
    isDefaultCaller: [options.as, options.cert, options.key, values.CRANK_TLS_CERT, values.CRANK_TLS_KEY].every(
      (given) => given === undefined,
    ),
  }
}

/** `hello_world`, `hello-world` and `worker-hello-world` give the same name of certificate files. */
export function certificateName(worker: string): string {
  const name = worker.replaceAll('_', '-')
  return name.startsWith('worker-') || name === 'controller' ? name : `worker-${name}`
}

/** The development certificate of that name. */
export function devFiles(stateDir: string, name: string, trustDomain: TrustDomain): CredentialFiles {
  return devCredentialFiles(join(stateDir, PKI_FOLDER), trustDomain, name)
}

function chooseFiles(options: ClientOptions, values: Partial<ClientEnv>, trustDomain: TrustDomain): CredentialFiles {
  const { CRANK_TLS_CERT, CRANK_TLS_KEY, CRANK_TLS_BUNDLE, CRANK_STATE_DIR = DEFAULT_STATE_DIR } = values
  if (options.cert !== undefined || options.key !== undefined) {
    const set = [options.cert, options.key, options.bundle ?? CRANK_TLS_BUNDLE]
    return wholeSet(set, '--cert, --key and --bundle', trustDomain)
  }
  if (options.as === undefined && (CRANK_TLS_CERT !== undefined || CRANK_TLS_KEY !== undefined)) {
    const set = [CRANK_TLS_CERT, CRANK_TLS_KEY, options.bundle ?? CRANK_TLS_BUNDLE]
    return wholeSet(set, 'CRANK_TLS_CERT, CRANK_TLS_KEY and CRANK_TLS_BUNDLE', trustDomain)
  }
  return devFiles(CRANK_STATE_DIR, certificateName(options.as ?? DEFAULT_CALLER), trustDomain)
}

function wholeSet(
  [certFile, keyFile, bundlePath]: (string | undefined)[],
  names: string,
  trustDomain: TrustDomain,
): CredentialFiles {
  if (certFile !== undefined && keyFile !== undefined && bundlePath !== undefined) {
    return { certFile, keyFile, bundlePath, trustDomain }
  }
  throw new CliError(EXIT.usage, `${names} must be given together`, { hint: 'or call as a worker: --as streaming' })
}

function readControllerUrl(text: string): string {
  const url = URL.parse(text)
  if (url?.protocol === 'https:' && url.pathname === '/') return url.origin
  throw new Error('must be an https URL without a path, such as https://127.0.0.1:9000')
}
