// The controller's configuration: one schema, read once; all faults, also those between fields, are reported together.
import { resolve } from 'node:path'
import Type, { type Static } from 'typebox'
import { checkpointKeyName } from '../audit/checkpoint.ts'
import type { NoteSigner } from '../audit/signed-note.ts'
import { loadSigningKey } from '../audit/signing-key.ts'
import { auditDirIn } from '../audit/places.ts'
import { parseSpiffeId, trustDomainOf, type SpiffeId, type TrustDomain } from '../core/spiffe-id.ts'
import { auditSettings, parseAuditSettings, type AuditLimits } from '../platform/audit-settings.ts'
import { parseDuration } from '../platform/duration.ts'
import { natsSettings, parseNatsSettings, type NatsTarget } from '../platform/nats/nats-settings.ts'
import { checkConfig, type ConfigSource } from '../platform/env.ts'
import { ConfigError, fault } from '../platform/setting-fault.ts'
import { parseProcesses } from '../platform/process-count.ts'
import { oddNames } from '../platform/setting-names.ts'
import { parseHostRules, type HostRules } from '../platform/host-rules.ts'
import {
  hostSetting,
  logLevelSetting,
  opaTimeoutSetting,
  optionalText,
  placeSettings,
  portSetting,
  readListenHost,
  readSetting,
  readSpiffeId,
  readTrustDomain,
  timeSetting,
  readIdentitySource,
  tlsSettings,
  type IdentitySource,
} from '../platform/settings.ts'
import { sloPlaceOf, type SloPlace } from '../slo/slo-folder.ts'
import { parseOpaUrl, type OpaTarget } from '../policy/engine/opa-target.ts'

/** Every variable of the controller; docs/configuration.md is generated from it. */
export const ControllerEnv = Type.Object({
  CRANK_HOST: hostSetting('127.0.0.1', 'Address of the mTLS listener for workers.'),
  CRANK_PORT: portSetting(9000, 'Port of the mTLS listener for workers.'),
  CRANK_ADMIN_HOST: hostSetting(
    '127.0.0.1',
    'Address of the admin listener (health, metrics): plain HTTP, keep it private.',
  ),
  CRANK_ADMIN_PORT: portSetting(9001, 'Port of the admin listener.'),
  CRANK_ADMIN_ALLOWED_HOSTS: Type.String({
    default: '',
    allowed: 'host names or *.suffix, separated by commas',
    description:
      'Host names that the admin listener answers to, besides IP addresses and `localhost`. Empty: no others.',
  }),
  ...tlsSettings,
  CRANK_CONTROLLER_ID: optionalText({
    description:
      'SPIFFE ID of the controller; its certificate must have it. Unset: `spiffe://<trust domain>/controller`.',
    allowed: 'a SPIFFE ID in the trust domain CRANK_TRUST_DOMAIN',
  }),
  TLS_REFUSE_UNVERIFIED: Type.Boolean({
    default: false,
    description: 'End the handshake of an unverified client instead of answering 401 with the reason.',
  }),
  HTTPS_ONLY: Type.Boolean({
    default: true,
    description: 'The only supported mode: `false` is refused.',
    allowed: 'true',
  }),
  CRANK_POLICY_DIR: placeSettings.CRANK_POLICY_DIR,
  CRANK_CANDIDATE_POLICY_DIR: optionalText({
    description: 'Policy folder that is evaluated beside the active one but decides nothing. Unset: none.',
    allowed: 'the path of a folder',
  }),
  CRANK_POLICY_MAX_STALENESS: optionalText({
    description:
      'How long the policy may stay unconfirmed (faulty files on disk, no bundle available). Unset: forever.',
    allowed: 'a duration of at least 10s, such as 10m, 1h or 7d',
  }),
  CRANK_POLICY_STALENESS_ACTION: Type.Enum(['warn', 'degrade', 'deny'], {
    default: 'warn',
    description: '`warn`: log and metric. `degrade`: not ready, but decides. `deny`: refuses every decision.',
  }),
  CRANK_POLICY_BUNDLE_ROLLBACK: Type.Enum(['refuse', 'allow'], {
    default: 'refuse',
    description:
      'When OPA returns to a bundle revision that was replaced before: `refuse`: not ready, and every decision is ' +
      'refused. `allow`: the bundle decides, and the log warns.',
  }),
  CRANK_DECISION_CACHE: Type.Enum(['off', 'on'], {
    default: 'off',
    description:
      '`on`: a decision about a call is repeated for the same question while the policy says that it holds ' +
      '(`valid_until_ns`), until the policy or the block list changes; with a sidecar at most for a second.',
  }),
  CRANK_SLO_DIR: placeSettings.CRANK_SLO_DIR,
  OPA_URL: optionalText({
    description: 'OPA sidecar: `http://host:port` or `unix:///path`. Unset: the embedded engine (wasm) decides.',
    allowed: 'http://host:port or unix:///absolute/path',
  }),
  OPA_TIMEOUT_MS: opaTimeoutSetting,
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  ...auditSettings,
  CRANK_CHAIN_KEY: optionalText({
    description:
      'File with the keys for `x-crank-chain`, one per line: the first signs, all of them verify. Controllers of one mesh ' +
      'share it. Unset: `chain.key` in `CRANK_STATE_DIR`, made at the first start; with CRANK_NATS_URL the controllers share it.',
    allowed: 'the path of a file',
  }),
  ...natsSettings,
  CRANK_WORKER_HOSTS: Type.String({
    default: '',
    allowed: 'host names, *.suffix or CIDR ranges, separated by commas',
    description:
      'Hosts that a `worker_url` may name, comma-separated: names, `*.suffix`, CIDR ranges. Empty: any. If the list has a range, a name must resolve to addresses inside one, too.',
  }),
  CRANK_BODY_LIMIT_BYTES: Type.Integer({
    minimum: 1024,
    maximum: 67_108_864,
    default: 1_048_576,
    description: 'Largest JSON body. The raw form of /route streams and has no such limit.',
  }),
  CRANK_MAX_CONNECTIONS: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description:
      'Open connections on the mTLS listener, of one identity at most half of them; further ones are closed at once.',
  }),
  CRANK_PROCESSES: Type.String({
    default: '1',
    allowed: '1 to 64, or auto',
    description:
      'Processes that serve, for several cores. `auto`: one per core, and per 512 MiB of memory. With more than one, each has its own audit log, and ' +
      'limits are divided by their number.',
  }),
  CRANK_HEARTBEAT_INTERVAL_MS: timeSetting(10_000, {
    description: 'How often workers send a heartbeat. A worker is stale after 3 missed ones, and removed after 12.',
    minimum: 50,
  }),
  CRANK_LAME_DUCK_MS: timeSetting(3000, {
    description:
      'After SIGTERM: how long the controller is not ready but still takes calls, so that callers can move. 0: none.',
    minimum: 0,
  }),
  CRANK_DRAIN_TIMEOUT_MS: timeSetting(10_000, {
    description: 'How long calls in flight may continue after the lame-duck time.',
  }),
  ...logLevelSetting,
})

/** The parsed configuration. Times in milliseconds; paths of the policy and of files that the controller writes are absolute. */
export type ControllerConfig = {
  readonly listen: { readonly host: string; readonly port: number }
  readonly admin: { readonly host: string; readonly port: number }
  readonly adminAllowedHosts: HostRules
  readonly trustDomain: TrustDomain
  readonly controllerId: SpiffeId
  readonly identity: IdentitySource
  readonly tlsRefuseUnverified: boolean
  readonly policyDir: string
  /** Undefined: no candidate. */
  readonly candidatePolicyDir: string | undefined
  /** Undefined: the embedded engine. */
  readonly opa: OpaTarget | undefined
  readonly policyTimeoutMs: number
  /** `maxMs` undefined: never stale. */
  readonly policyStaleness: { readonly maxMs: number | undefined; readonly action: 'warn' | 'degrade' | 'deny' }
  readonly policyBundleRollback: 'refuse' | 'allow'
  readonly decisionCache: 'off' | 'on'
  readonly sloPlace: SloPlace
  readonly stateDir: string
  readonly auditDir: string
  /** Whether CRANK_AUDIT_DIR names another one than that in `stateDir`; otherwise the log of an older version in `stateDir` is taken over. */
  readonly auditDirGiven: boolean
  readonly auditLimits: AuditLimits['limits']
  readonly auditKeep: AuditLimits['keep']
  readonly auditMinFree: AuditLimits['minFree']
  readonly auditFull: 'stop' | 'drop_unshipped'
  /** Undefined: checkpoints are not signed. */
  readonly auditSigner: NoteSigner | undefined
  readonly auditSync: 'fsync' | 'write'
  /** Whether records are shipped to the stream of the mesh. */
  readonly auditStream: boolean
  /** Undefined: `chain.key` in `stateDir`. */
  readonly chainKeyFile: string | undefined
  /** Undefined: no other controller. */
  readonly nats: NatsTarget | undefined
  readonly workerHosts: HostRules
  readonly bodyLimitBytes: number
  readonly maxConnections: number
  /** How many serve. */
  readonly processes: number
  readonly heartbeatIntervalMs: number
  readonly lameDuckMs: number
  readonly drainTimeoutMs: number
  readonly logLevel: string
}

type Values = Static<typeof ControllerEnv>
/** The settings with their own parser, after parsing. */
type Parsed = Pick<ControllerConfig, 'trustDomain' | 'controllerId' | 'identity' | 'opa' | 'workerHosts'> &
  Pick<ControllerConfig, 'adminAllowedHosts' | 'processes' | 'auditSigner' | 'nats'> & {
    maxStalenessMs: number | undefined
    host: string
    adminHost: string
    audit: AuditLimits
  }

/** Reads and checks the configuration; the result is frozen. @throws {ConfigError} with every fault. */
export function loadControllerConfig(source: ConfigSource): ControllerConfig {
  const { values, faults } = checkConfig(ControllerEnv, source)
  faults.push(...oddNames(source.env, Object.keys(ControllerEnv.properties)).faults, ...cutNames(source.env, values))
  const parsed = parseValues(values, faults)
  if (faults.length > 0 || parsed === undefined) throw new ConfigError(faults)
  // No fault means that every required value is there.
  return Object.freeze(toConfig(values as Values, parsed))
}

function parseValues(values: Partial<Values>, faults: string[]): Parsed | undefined {
  const trustDomain = readSetting('CRANK_TRUST_DOMAIN', values.CRANK_TRUST_DOMAIN, readTrustDomain, faults)
  const given = readSetting('CRANK_CONTROLLER_ID', values.CRANK_CONTROLLER_ID, readSpiffeId, faults)
  const opa = readSetting('OPA_URL', values.OPA_URL, parseOpaUrl, faults)
  const staleness = values.CRANK_POLICY_MAX_STALENESS
  const maxStalenessMs = readSetting('CRANK_POLICY_MAX_STALENESS', staleness, parseStaleness, faults)
  const workerHosts = readSetting('CRANK_WORKER_HOSTS', values.CRANK_WORKER_HOSTS, parseHostRules, faults)
  const adminHosts = values.CRANK_ADMIN_ALLOWED_HOSTS
  const adminAllowedHosts = readSetting('CRANK_ADMIN_ALLOWED_HOSTS', adminHosts, parseHostRules, faults)
  const host = readSetting('CRANK_HOST', values.CRANK_HOST, readListenHost, faults)
  const processes = readSetting('CRANK_PROCESSES', values.CRANK_PROCESSES, parseProcesses, faults)
  const adminHost = readSetting('CRANK_ADMIN_HOST', values.CRANK_ADMIN_HOST, readListenHost, faults)
  if (values.HTTPS_ONLY === false) {
    faults.push(fault('HTTPS_ONLY', 'false', 'must be true or unset: the controller supports only mutual TLS'))
  }
  const identity = readIdentitySource(values, trustDomain, faults)
  checkOwnDomain(given, trustDomain, faults)
  checkPorts({ ...values, CRANK_HOST: host, CRANK_ADMIN_HOST: adminHost } as Partial<Values>, faults)
  if (trustDomain === undefined || workerHosts === undefined || adminAllowedHosts === undefined) return undefined
  const audit = parseAuditSettings(values, faults)
  if (identity === undefined) return undefined
  if (host === undefined || adminHost === undefined || processes === undefined || audit === undefined) return undefined
  const controllerId = given ?? parseSpiffeId(`spiffe://${trustDomain}/controller`)
  const readKey = (file: string): NoteSigner => loadSigningKey(file, checkpointKeyName(controllerId))
  const auditSigner = readSetting('CRANK_AUDIT_SIGNING_KEY', values.CRANK_AUDIT_SIGNING_KEY, readKey, faults)
  const nats = parseNatsSettings(values, trustDomain, faults)
  checkAuditStream(values, faults)
  const hosts = { workerHosts, adminAllowedHosts, host, adminHost }
  return { trustDomain, controllerId, identity, opa, maxStalenessMs, ...hosts, processes, audit, auditSigner, nats }
}

function checkAuditStream({ CRANK_AUDIT_STREAM, CRANK_NATS_URL }: Partial<Values>, faults: string[]): void {
  if (CRANK_AUDIT_STREAM !== 'on' || CRANK_NATS_URL !== undefined) return
  faults.push(fault('CRANK_AUDIT_STREAM', 'on', 'needs CRANK_NATS_URL, the NATS servers that have the stream'))
}

/** Detects CRANK_WORKER_HOST, a worker's setting, set where CRANK_WORKER_HOSTS was probably meant: the limit would not apply. */
function cutNames({ CRANK_WORKER_HOST: host = '' }: NodeJS.ProcessEnv, values: Partial<Values>): string[] {
  if (host === '' || values.CRANK_WORKER_HOSTS !== '') return []
  const sentence =
    'is where a worker listens; did you mean CRANK_WORKER_HOSTS, the hosts that worker URLs may name? Unset it'
  return [fault('CRANK_WORKER_HOST', host, sentence)]
}

// A sidecar is checked every 5 s: with a limit below twice that, the policy would be stale between two checks.
function parseStaleness(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds < 10_000) throw new Error('must be at least 10s')
  return milliseconds
}

function checkOwnDomain(id: SpiffeId | undefined, trustDomain: TrustDomain | undefined, faults: string[]): void {
  if (id === undefined || trustDomain === undefined || trustDomainOf(id) === trustDomain) return
  faults.push(fault('CRANK_CONTROLLER_ID', id, `must be in the trust domain ${trustDomain} (CRANK_TRUST_DOMAIN)`))
}

function checkPorts(
  { CRANK_PORT, CRANK_ADMIN_PORT, CRANK_HOST, CRANK_ADMIN_HOST }: Partial<Values>,
  faults: string[],
): void {
  if (CRANK_PORT === undefined || CRANK_PORT === 0 || CRANK_PORT !== CRANK_ADMIN_PORT) return
  if (CRANK_HOST !== CRANK_ADMIN_HOST) return
  faults.push(fault('CRANK_ADMIN_PORT', String(CRANK_ADMIN_PORT), 'must differ from CRANK_PORT on the same host'))
}

function toConfig(values: Values, parsed: Parsed): ControllerConfig {
  const { trustDomain, controllerId, opa, maxStalenessMs, workerHosts, adminAllowedHosts } = parsed
  const { host, adminHost, processes } = parsed
  const auditDir = resolve(values.CRANK_AUDIT_DIR ?? auditDirIn(values.CRANK_STATE_DIR))
  return {
    listen: { host, port: values.CRANK_PORT },
    admin: { host: adminHost, port: values.CRANK_ADMIN_PORT },
    adminAllowedHosts,
    trustDomain,
    controllerId,
    identity: parsed.identity,
    tlsRefuseUnverified: values.TLS_REFUSE_UNVERIFIED,
    policyDir: resolve(values.CRANK_POLICY_DIR),
    candidatePolicyDir: values.CRANK_CANDIDATE_POLICY_DIR && resolve(values.CRANK_CANDIDATE_POLICY_DIR),
    opa,
    policyTimeoutMs: values.OPA_TIMEOUT_MS,
    policyStaleness: { maxMs: maxStalenessMs, action: values.CRANK_POLICY_STALENESS_ACTION },
    policyBundleRollback: values.CRANK_POLICY_BUNDLE_ROLLBACK,
    decisionCache: values.CRANK_DECISION_CACHE,
    sloPlace: sloPlaceOf(values.CRANK_SLO_DIR),
    stateDir: resolve(values.CRANK_STATE_DIR),
    auditDir,
    auditDirGiven: auditDir !== resolve(auditDirIn(values.CRANK_STATE_DIR)),
    auditLimits: parsed.audit.limits,
    auditKeep: parsed.audit.keep,
    auditMinFree: parsed.audit.minFree,
    auditFull: values.CRANK_AUDIT_FULL,
    auditSigner: parsed.auditSigner,
    auditSync: values.CRANK_AUDIT_SYNC,
    auditStream: values.CRANK_AUDIT_STREAM === 'on',
    chainKeyFile: values.CRANK_CHAIN_KEY && resolve(values.CRANK_CHAIN_KEY),
    nats: parsed.nats,
    workerHosts,
    bodyLimitBytes: values.CRANK_BODY_LIMIT_BYTES,
    maxConnections: values.CRANK_MAX_CONNECTIONS,
    processes,
    heartbeatIntervalMs: values.CRANK_HEARTBEAT_INTERVAL_MS,
    lameDuckMs: values.CRANK_LAME_DUCK_MS,
    drainTimeoutMs: values.CRANK_DRAIN_TIMEOUT_MS,
    logLevel: values.LOG_LEVEL,
  }
}
