// Variables with our prefixes, and what a process does about an unknown one: a misspelt name must not silently leave a
// setting at its default. Imports no packages, since `crank --help` loads this file.
import { isIP } from 'node:net'
import { editDistance } from '../core/edit-distance.ts'

/** Every CRANK_* and OPA_* variable that a program or script of this project reads; a test compares the list with the sources. */
export const SETTING_NAMES: readonly string[] = [
  'CRANK_ADMIN_ALLOWED_HOSTS',
  'CRANK_ADMIN_HOST',
  'CRANK_ADMIN_PORT',
  'CRANK_ADMIN_URL',
  'CRANK_AUDIT_DIR',
  'CRANK_AUDIT_FULL',
  'CRANK_AUDIT_KEEP',
  'CRANK_AUDIT_MIN_FREE',
  'CRANK_AUDIT_SEGMENT_AGE',
  'CRANK_AUDIT_SEGMENT_SIZE',
  'CRANK_AUDIT_SIGNING_KEY',
  'CRANK_AUDIT_STREAM',
  'CRANK_AUDIT_SYNC',
  'CRANK_BODY_LIMIT_BYTES',
  'CRANK_CACHE_DIR',
  'CRANK_CANDIDATE_POLICY_DIR',
  'CRANK_CHAIN_KEY',
  'CRANK_CONTROLLER_ID',
  'CRANK_DRAIN_TIMEOUT_MS',
  'CRANK_LAME_DUCK_MS',
  'CRANK_HEARTBEAT_INTERVAL_MS',
  'CRANK_HOST',
  'CRANK_IMAGE',
  'CRANK_MAX_CONNECTIONS',
  'CRANK_NATS_ID',
  'CRANK_NATS_REPLICAS',
  'CRANK_NATS_URL',
  'CRANK_POLICY_BUNDLE_ROLLBACK',
  'CRANK_DECISION_CACHE',
  'CRANK_POLICY_DIR',
  'CRANK_POLICY_MAX_STALENESS',
  'CRANK_POLICY_STALENESS_ACTION',
  'CRANK_PORT',
  'CRANK_PROCESSES',
  'CRANK_SLO_DIR',
  'CRANK_STATE_DIR',
  'CRANK_SVID',
  'CRANK_TLS_BUNDLE',
  'CRANK_TLS_CERT',
  'CRANK_TLS_KEY',
  'CRANK_TRUST_DOMAIN',
  'CRANK_WORKER_HOST',
  'CRANK_WORKER_HOSTS',
  'CRANK_WORKER_ID',
  'CRANK_WORKER_INSTANCE',
  'CRANK_WORKER_PORT',
  'CRANK_WORKER_URL',
  'OPA_BIN',
  'OPA_IMAGE',
  'OPA_RUN_CONFIG_FILE',
  'OPA_TIMEOUT_MS',
  'OPA_URL',
  'OPA_VERSION',
]

/** `faults`: sentences about names that are probably misspelt. `unknown`: other names that nothing reads. */
type OddNames = { readonly faults: readonly string[]; readonly unknown: readonly string[] }

/** Settings of older versions that have another name now, and what else has changed. */
const REPLACED: Readonly<Record<string, string>> = {
  CRANK_AUDIT_FILE:
    'an audit log is a folder of segments. To continue the chain of the file, move it to <CRANK_STATE_DIR>/audit.jsonl and ' +
    'unset this; for another folder than <CRANK_STATE_DIR>/audit set CRANK_AUDIT_DIR, a folder, instead',
}

const PREFIX = /^(?:CRANK|OPA)_/
/** Settings without our prefix; with the prefix they are not read. */
const BARE_NAMES = ['CONTROLLER_URL', 'HTTPS_ONLY', 'LOG_LEVEL', 'SPIFFE_ENDPOINT_SOCKET', 'TLS_REFUSE_UNVERIFIED']
const MAX_DISTANCE = 2
const URL_OF_SERVICE = /^(?:tcp|udp|sctp):\/\//
const NUMBER = /^\d+$/

/** The variables that Kubernetes sets for each service of the namespace, and the form of their values. The longest first. */
const OF_KUBERNETES: readonly (readonly [name: RegExp, fits: (value: string) => boolean])[] = [
  [/_PORT_\d+_(?:TCP|UDP|SCTP)_PROTO$/, (value) => /^(?:tcp|udp|sctp)$/.test(value)],
  [/_PORT_\d+_(?:TCP|UDP|SCTP)_PORT$/, (value) => NUMBER.test(value)],
  [/_PORT_\d+_(?:TCP|UDP|SCTP)_ADDR$/, (value) => isIP(value) !== 0],
  [/_PORT_\d+_(?:TCP|UDP|SCTP)$/, (value) => URL_OF_SERVICE.test(value)],
  [/_SERVICE_HOST$/, (value) => isIP(value) !== 0],
  [/_SERVICE_PORT(?:_[A-Z0-9_]+)?$/, (value) => NUMBER.test(value)],
  [/_PORT$/, (value) => URL_OF_SERVICE.test(value)],
]

/** Checks every variable with our prefixes; an empty one counts as unset. `own`: further names that this process reads. */
export function oddNames(env: NodeJS.ProcessEnv, own: readonly string[] = []): OddNames {
  const known = [...new Set([...own, ...SETTING_NAMES])]
  const faults: string[] = []
  const unknown: string[] = []
  for (const [name, value = ''] of Object.entries(env)) {
    if (!PREFIX.test(name) || value === '' || known.includes(name) || isOfKubernetes(name, value)) continue
    if (name in REPLACED) {
      faults.push(replacedFault(name))
      continue
    }
    const meant = known.find((other) => differsBySuffix(name, other)) ?? bareName(name) ?? nearest(name, known)
    if (meant === undefined) unknown.push(name)
    else faults.push(`${name}: unknown setting; did you mean ${meant}? Rename it, or unset it`)
  }
  return { faults: faults.sort(), unknown: unknown.sort() }
}

/** A sentence for each variable that is set and no longer read. */
export function replacedNames(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(REPLACED)
    .filter((name) => (env[name] ?? '') !== '')
    .map(replacedFault)
}

/** Logs one line about variables with our prefixes that nothing reads: left over, or meant for another version. */
export function warnOfUnknown(log: { warn(fields: object, message: string): void }, env: NodeJS.ProcessEnv): void {
  const { unknown } = oddNames(env)
  if (unknown.length === 0) return
  log.warn({ event: 'settings_unknown', names: unknown }, 'variables are set that nothing in Crank reads')
}

/** For a setting whose value Kubernetes has set for a service of that name: how to avoid that; else ''. */
export function kubernetesHint(name: string, value: string): string {
  if (!name.endsWith('_PORT') || !URL_OF_SERVICE.test(value)) return ''
  const service = name
    .replace(/_PORT$/, '')
    .toLowerCase()
    .replaceAll('_', '-')
  return `; Kubernetes sets it for a service named "${service}": set it in the pod, or set enableServiceLinks: false there`
}

function replacedFault(name: string): string {
  return `${name}: no longer read: ${REPLACED[name] ?? ''}`
}

function isOfKubernetes(name: string, value: string): boolean {
  return OF_KUBERNETES.find(([pattern]) => pattern.test(name))?.[1](value) ?? false
}

function bareName(name: string): string | undefined {
  return BARE_NAMES.find((bare) => name.replace(PREFIX, '') === bare)
}

/** Whether one name is the other plus a suffix, such as `CRANK_AUDIT` and `CRANK_AUDIT_DIR`. */
function differsBySuffix(name: string, other: string): boolean {
  const [short, long] = name.length < other.length ? [name, other] : [other, name]
  return long.startsWith(short) && /^_[A-Z0-9]+$/.test(long.slice(short.length))
}

function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .map((other) => ({ other, distance: editDistance(name, other) }))
    .filter(({ distance }) => distance <= MAX_DISTANCE)
  return near.sort((a, b) => a.distance - b.distance)[0]?.other
}
