// Configuration of a worker process: the same identity settings as the controller, and the controller's address.
import Type, { type Static } from 'typebox'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { checkConfig, type ConfigSource } from '../platform/env.ts'
import { DEFAULT_STATE_DIR } from '../platform/default-places.ts'
import { ConfigError } from '../platform/setting-fault.ts'
import { oddNames } from '../platform/setting-names.ts'
import {
  hostSetting,
  logLevelSetting,
  optionalText,
  portSetting,
  readListenHost,
  readSetting,
  readSpiffeId,
  readTrustDomain,
  readIdentitySource,
  tlsSettings,
  type IdentitySource,
} from '../platform/settings.ts'
import { parseControllerUrls, parseOrigin } from './controllers/controller-urls.ts'

/** The environment variables; their names are the property names. */
export const WorkerSettings = Type.Object({
  CONTROLLER_URL: Type.String({
    default: 'https://127.0.0.1:9000',
    description:
      'URL of the controller, for registration and calls. Several controllers of one mesh: all their URLs, separated by commas, or a name with several addresses.',
    allowed: 'an https URL of host and port only, or several, separated by commas',
  }),
  CRANK_CONTROLLER_ID: optionalText({
    description:
      'SPIFFE ID of the controller: the only peer that a worker accepts. Default: `spiffe://<trust domain>/controller`.',
    allowed: 'a SPIFFE ID',
  }),
  CRANK_WORKER_PORT: portSetting(0, 'Port the worker listens on.'),
  CRANK_WORKER_HOST: hostSetting('127.0.0.1', 'Address the worker listens on.'),
  CRANK_WORKER_URL: optionalText({
    description: 'URL at which the controller reaches this worker. Default: the host and port it listens on.',
    allowed: 'an https URL of host and port only',
  }),
  CRANK_WORKER_INSTANCE: optionalText({
    description: 'Distinguishes replicas: the worker id becomes `<id>.<instance>`.',
    allowed: 'at most 64 letters, digits and dashes',
  }),
  CRANK_STATE_DIR: Type.String({
    default: DEFAULT_STATE_DIR,
    description: 'Folder for data that outlives a process; workers use its subfolder `workers`.',
  }),
  ...tlsSettings,
  ...logLevelSetting,
})

export type WorkerConfig = {
  /** One for each controller of the mesh. */
  readonly controllerUrls: readonly string[]
  readonly controllerId: SpiffeId
  readonly host: string
  readonly port: number
  readonly workerUrl: string | undefined
  readonly instance: string | undefined
  readonly stateDir: string
  readonly identity: IdentitySource
  readonly logLevel: Static<typeof WorkerSettings>['LOG_LEVEL']
}

const WILDCARDS = new Set(['0.0.0.0', '::'])

/** Reads the configuration. @throws {ConfigError} with all faults together. */
export function loadWorkerConfig(source: ConfigSource): WorkerConfig {
  const { values, faults } = checkConfig(WorkerSettings, source)
  faults.push(...oddNames(source.env, Object.keys(WorkerSettings.properties)).faults)
  const controllerUrls = readSetting('CONTROLLER_URL', values.CONTROLLER_URL, parseControllerUrls, faults)
  const workerUrl = readSetting('CRANK_WORKER_URL', values.CRANK_WORKER_URL, parseOrigin, faults)
  const instance = readSetting('CRANK_WORKER_INSTANCE', values.CRANK_WORKER_INSTANCE, readInstance, faults)
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  const givenId = readSetting('CRANK_CONTROLLER_ID', values.CRANK_CONTROLLER_ID, readSpiffeId, faults)
  const host = readSetting('CRANK_WORKER_HOST', values.CRANK_WORKER_HOST, readListenHost, faults)
  if (workerUrl === undefined && WILDCARDS.has(host ?? '')) {
    faults.push('CRANK_WORKER_URL is not set: it is required when CRANK_WORKER_HOST is a wildcard address')
  }
  const identity = readIdentitySource(values, trustDomain, faults)
  if (faults.length > 0 || controllerUrls === undefined || trustDomain === undefined || identity === undefined) {
    throw new ConfigError(faults)
  }
  // Without faults every value is present.
  const all = values as Static<typeof WorkerSettings>
  return {
    controllerUrls,
    controllerId: givenId ?? parseSpiffeId(`spiffe://${trustDomain}/controller`),
    host: host ?? all.CRANK_WORKER_HOST,
    port: all.CRANK_WORKER_PORT,
    workerUrl,
    instance,
    stateDir: all.CRANK_STATE_DIR,
    identity,
    logLevel: all.LOG_LEVEL,
  }
}

function readInstance(text: string): string {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(text)) throw new Error('must be at most 64 letters, digits and dashes')
  return text
}
