// Settings of a command that calls the controller, from options and environment.
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../core/spiffe-id.ts'
import type { CredentialFiles } from '../platform/tls/credentials.ts'
import { DEFAULT_STATE_DIR } from '../platform/default-places.ts'
import { devCredentialFiles, SERVER_NAMES } from '../platform/tls/dev-pki.ts'
import { checkConfig } from '../platform/env.ts'
import { ConfigError } from '../platform/setting-fault.ts'
import {
  identitySettings,
  optionalText,
  placeSettings,
  readIdentitySource,
  readSetting,
  readSpiffeId,
  readTrustDomain,
  trustDomainSetting,
  type IdentitySource,
} from '../platform/settings.ts'
import { parseControllerUrls } from '../worker/controllers/controller-urls.ts'
import { CliError, EXIT } from './exit.ts'
import type { ClientOptions } from './options.ts'

export type ClientConfig = {
  /** `https://host:port` of each controller of the mesh. */
  readonly controllerUrls: readonly string[]
  readonly controllerId: SpiffeId
  readonly stateDir: string
  readonly identity: IdentitySource
  /** Set when no caller was chosen. */
  readonly isDefaultCaller?: boolean
}

/** Certificates of `crank cert dev-ca`, inside the state folder. */
export const PKI_FOLDER = 'pki'
/** The caller if none is named and no certificate is set. */
const DEFAULT_CALLER = 'streaming'

const StateEnv = Type.Object({
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  ...trustDomainSetting,
})
const ClientEnv = Type.Object({
  ...StateEnv.properties,
  CONTROLLER_URL: Type.String({ default: 'https://127.0.0.1:9000' }),
  CRANK_CONTROLLER_ID: optionalText({ description: 'SPIFFE ID of the controller' }),
  ...identitySettings,
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
 * The controller and the identity of the caller. The certificate is that of `--cert`, else `--as`, else CRANK_TLS_* or
 * SPIFFE_ENDPOINT_SOCKET, else the streaming worker's development certificate.
 * @throws {ConfigError} for unusable values
 * @throws {CliError} `usage` for an incomplete set of certificate, key and bundle
 */
export function readClientConfig(options: ClientOptions, env: NodeJS.ProcessEnv): ClientConfig {
  const flags = { CONTROLLER_URL: options.controllerUrl, CRANK_STATE_DIR: options.stateDir }
  const { values, faults } = checkConfig(ClientEnv, { env, flags })
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  const controllerId = readSetting('CRANK_CONTROLLER_ID', values.CRANK_CONTROLLER_ID, readSpiffeId, faults)
  const controllerUrls = readSetting('CONTROLLER_URL', values.CONTROLLER_URL, parseControllerUrls, faults)
  const identity = trustDomain && chooseIdentity(options, { values, trustDomain, faults })
  if (faults.length > 0 || trustDomain === undefined || controllerUrls === undefined || identity === undefined) {
    throw new ConfigError(faults)
  }
  return {
    controllerUrls,
    controllerId: controllerId ?? parseSpiffeId(`spiffe://${trustDomain}/controller`),
    stateDir: values.CRANK_STATE_DIR ?? DEFAULT_STATE_DIR,
    identity,
    isDefaultCaller: isDefaultCaller(options, values),
  }
}

/** `hello_world`, `hello-world` and `worker-hello-world` give the same name of certificate files. */
export function certificateName(worker: string): string {
  const name = worker.replaceAll('_', '-')
  return name.startsWith('worker-') || SERVER_NAMES.includes(name) ? name : `worker-${name}`
}

/** The development certificate of that name. */
export function devFiles(stateDir: string, name: string, trustDomain: TrustDomain): CredentialFiles {
  return devCredentialFiles(join(stateDir, PKI_FOLDER), trustDomain, name)
}

/** The variables that choose a caller. */
const OWN = ['SPIFFE_ENDPOINT_SOCKET', 'CRANK_TLS_CERT', 'CRANK_TLS_KEY'] as const

function isDefaultCaller({ as, cert, key }: ClientOptions, values: Partial<ClientEnv>): boolean {
  return [as, cert, key, ...OWN.map((name) => values[name])].every((given) => given === undefined)
}

type Chosen = { readonly values: Partial<ClientEnv>; readonly trustDomain: TrustDomain; readonly faults: string[] }

function chooseIdentity(options: ClientOptions, { values, trustDomain, faults }: Chosen): IdentitySource | undefined {
  if (options.cert !== undefined || options.key !== undefined) {
    const { cert: certFile, key: keyFile, bundle: bundlePath = values.CRANK_TLS_BUNDLE } = options
    if (certFile !== undefined && keyFile !== undefined && bundlePath !== undefined) {
      return { from: 'files', certFile, keyFile, bundlePath, trustDomain }
    }
    const hint = 'or call as a worker: --as streaming'
    throw new CliError(EXIT.usage, '--cert, --key and --bundle must be given together', { hint })
  }
  if (options.as === undefined && !isDefaultCaller(options, values)) {
    const bundle = options.bundle === undefined ? {} : { CRANK_TLS_BUNDLE: options.bundle }
    return readIdentitySource({ ...values, ...bundle }, trustDomain, faults)
  }
  const { CRANK_STATE_DIR = DEFAULT_STATE_DIR } = values
  return { from: 'files', ...devFiles(CRANK_STATE_DIR, certificateName(options.as ?? DEFAULT_CALLER), trustDomain) }
}
