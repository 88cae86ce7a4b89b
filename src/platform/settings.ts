// Settings that the controller and the workers share: the building blocks of their configuration schemas.
import { isIPv6 } from 'node:net'
import Type from 'typebox'
import type { SpiffeId, TrustDomain } from '../core/spiffe-id.ts'
import { parseSpiffeId, parseTrustDomain, SpiffeIdError } from '../core/spiffe-id.ts'
import { DEFAULT_POLICY_DIR, DEFAULT_STATE_DIR, DEFAULT_TRUST_DOMAIN } from './default-places.ts'
import { allowedBy, type SettingOptions } from './env.ts'
import { fault } from './setting-fault.ts'
import { parseWorkloadEndpoint, type WorkloadEndpoint } from './spiffe/endpoint.ts'
import { FIRST_SVID, parseSvidChoice, type SvidChoice } from './spiffe/svid-choice.ts'

/** A TCP port; 0 lets the system choose, and the ready log line reports which. */
export const portSetting = (port: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: port, description })

/** An address to listen on. */
export const hostSetting = (host: string, description: string) =>
  Type.String({ minLength: 1, default: host, description, allowed: 'an address or host name of this machine' })

/** A time in milliseconds. */
export const timeSetting = (
  milliseconds: number,
  options: { description: string; minimum?: number; maximum?: number },
) => Type.Integer({ minimum: 1, maximum: 3_600_000, default: milliseconds, ...options })

/** An optional text. */
export const optionalText = (options: SettingOptions) => Type.Optional(Type.String({ minLength: 1, ...options }))

/** The trust domain of a process or command. */
export const trustDomainSetting = {
  CRANK_TRUST_DOMAIN: Type.String({
    default: DEFAULT_TRUST_DOMAIN,
    description: 'Trust domain of this process, the first part of every SPIFFE ID.',
    allowed: 'a trust domain (a-z, 0-9, dot, dash, underscore)',
  }),
}

/**
 * Our identity and our trust, from files or from a SPIFFE Workload API: only paths and addresses, so that no key is ever in an
 * environment variable.
 */
export const identitySettings = {
  SPIFFE_ENDPOINT_SOCKET: optionalText({
    description:
      'SPIFFE Workload API, such as the socket of a SPIRE agent, that gives certificate, key and trusted CAs in place of the three `CRANK_TLS_*` files.',
    allowed: 'unix:///path of a socket, or tcp://ip:port',
  }),
  CRANK_SVID: optionalText({
    description:
      'Which SVID of the Workload API to use, if it gives several: its SPIFFE ID, or its hint. Unset: the first.',
    allowed: 'a SPIFFE ID or a hint',
  }),
  CRANK_TLS_CERT: optionalText({
    description:
      'X.509-SVID of this process with its chain, PEM. Required without SPIFFE_ENDPOINT_SOCKET. Watched: a new one is used without a restart.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_KEY: optionalText({
    description: 'Private key of CRANK_TLS_CERT, PEM. Required with it. Watched.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_BUNDLE: optionalText({
    description:
      'Required with CRANK_TLS_CERT. Trusted CAs: a PEM file for CRANK_TRUST_DOMAIN, or a folder of `<trust-domain>.pem` for several domains. Each certificate in it is a trust anchor, root or not. Watched.',
    allowed: 'the path of a PEM file, or of a folder of <trust-domain>.pem',
  }),
}

/** What every process with an identity needs. */
export const tlsSettings = { ...trustDomainSetting, ...identitySettings }

/** Where things are: the same for the controller and for every command. */
export const placeSettings = {
  CRANK_POLICY_DIR: Type.String({
    default: DEFAULT_POLICY_DIR,
    allowed: 'the path of a folder',
    description: 'Folder of the Rego sources and of `data/`.',
  }),
  CRANK_SLO_DIR: optionalText({
    description:
      'Folder of the SLO files (`*.yaml`). Set: it must exist. Unset: `slos` in the working directory, if there is one.',
    allowed: 'the path of a folder',
  }),
  CRANK_STATE_DIR: Type.String({
    default: DEFAULT_STATE_DIR,
    allowed: 'the path of a folder',
    description: 'Folder for what the controller writes.',
  }),
  CRANK_AUDIT_DIR: optionalText({
    description:
      'Folder of the audit log: a folder per process (slot), in it the segments `<first-seq>.jsonl`. Unset: `<CRANK_STATE_DIR>/audit`.',
    allowed: 'the path of a folder',
  }),
}

/** OPA beside the controller, for it and for the command that checks it. */
export const opaTimeoutSetting = timeSetting(100, {
  description: 'Deadline of one decision; after it the call is refused.',
  maximum: 60_000,
})

/** The log level, with the names of pino. */
export const logLevelSetting = {
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
}

/** The files of an identity, as `watchCredentials` takes them. */
type TlsFiles = { certFile: string; keyFile: string; bundlePath: string; trustDomain: TrustDomain }

/** Where the identity of a process comes from. */
export type IdentitySource =
  | ({ readonly from: 'files' } & Readonly<TlsFiles>)
  | {
      readonly from: 'workload_api'
      readonly endpoint: WorkloadEndpoint
      readonly choice: SvidChoice
      readonly trustDomain: TrustDomain
    }

type IdentityValues = Partial<Record<'SPIFFE_ENDPOINT_SOCKET' | 'CRANK_SVID' | (typeof TLS_FILES)[number], string>>

const TLS_FILES = ['CRANK_TLS_CERT', 'CRANK_TLS_KEY', 'CRANK_TLS_BUNDLE'] as const

/** The one source of an identity that is set. Undefined, with sentences added to `faults`, when there is not exactly one. */
export function readIdentitySource(
  values: IdentityValues,
  trustDomain: TrustDomain | undefined,
  faults: string[],
): IdentitySource | undefined {
  const { SPIFFE_ENDPOINT_SOCKET: socket, CRANK_SVID: svid } = values
  const endpoint = readSetting('SPIFFE_ENDPOINT_SOCKET', socket, parseWorkloadEndpoint, faults)
  const choice = svid === undefined ? FIRST_SVID : readSetting('CRANK_SVID', svid, parseSvidChoice, faults)
  if (socket === undefined) {
    const files = readTlsFiles(values, trustDomain, faults)
    if (svid === undefined) return files
    faults.push(fault('CRANK_SVID', svid, 'is for SPIFFE_ENDPOINT_SOCKET: set that, or unset this'))
    return undefined
  }
  const both = TLS_FILES.filter((name) => values[name] !== undefined)
  if (both.length > 0) {
    const sentence = `is set together with ${both.join(', ')}: an identity has one source; unset the one or the others`
    faults.push(fault('SPIFFE_ENDPOINT_SOCKET', socket, sentence))
    return undefined
  }
  if (endpoint === undefined || choice === undefined || trustDomain === undefined) return undefined
  return { from: 'workload_api', endpoint, choice, trustDomain }
}

function readTlsFiles(
  values: IdentityValues,
  trustDomain: TrustDomain | undefined,
  faults: string[],
): IdentitySource | undefined {
  const { CRANK_TLS_CERT: certFile, CRANK_TLS_KEY: keyFile, CRANK_TLS_BUNDLE: bundlePath } = values
  const missing = TLS_FILES.filter((name) => values[name] === undefined)
  // Who sets none of the files may want the other source.
  const orElse =
    missing.length === TLS_FILES.length ? '; or set SPIFFE_ENDPOINT_SOCKET in place of the three files' : ''
  for (const [index, name] of missing.entries()) {
    faults.push(`${name} is not set: must be ${allowedBy(identitySettings[name])}${index === 0 ? orElse : ''}`)
  }
  if (certFile === undefined || keyFile === undefined || bundlePath === undefined) return undefined
  return trustDomain && { from: 'files', certFile, keyFile, bundlePath, trustDomain }
}

/**
 * Reads one value with its own parser. If the parser refuses it, adds a fault to `faults` and returns undefined, so that the
 * remaining settings are checked too.
 */
export function readSetting<T>(
  name: string,
  value: string | undefined,
  parse: (text: string) => T,
  faults: string[],
): T | undefined {
  if (value === undefined) return undefined
  try {
    return parse(value)
  } catch (error: unknown) {
    faults.push(fault(name, value, error instanceof Error ? error.message : 'cannot be read'))
    return undefined
  }
}

/** A trust domain; the error message is worded for a setting. */
export function readTrustDomain(text: string): TrustDomain {
  return inWords('must be a trust domain', () => parseTrustDomain(text))
}

/** An address or host name to listen on, without brackets. */
export function readListenHost(text: string): string {
  const bare = /^\[(.*)\]$/.exec(text)?.[1]
  if (bare !== undefined && isIPv6(bare)) return bare
  if (isIPv6(text) || /^[\w.-]+$/.test(text)) return text
  throw new Error('must be an address or host name of this machine, without a port, such as 127.0.0.1 or ::1')
}

/** A SPIFFE ID; the error message is worded for a setting. */
export function readSpiffeId(text: string): SpiffeId {
  return inWords('must be a SPIFFE ID such as spiffe://crank.local/controller', () => parseSpiffeId(text))
}

function inWords<T>(sentence: string, parse: () => T): T {
  try {
    return parse()
  } catch (error: unknown) {
    if (!(error instanceof SpiffeIdError)) throw error
    throw new SpiffeIdError(`${sentence}: ${error.message}`, { cause: error })
  }
}
