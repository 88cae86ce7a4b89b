// Settings that the controller and the workers share: the building blocks of their configuration schemas.
import { isIPv6 } from 'node:net'
import Type from 'typebox'
import type { SpiffeId, TrustDomain } from '../core/spiffe-id.ts'
import { parseSpiffeId, parseTrustDomain, SpiffeIdError } from '../core/spiffe-id.ts'
import { DEFAULT_POLICY_DIR, DEFAULT_STATE_DIR, DEFAULT_TRUST_DOMAIN } from './default-places.ts'
import type { SettingOptions } from './env.ts'
import { fault } from './setting-fault.ts'

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

/** A text that is required and has no default. */
const requiredText = (options: SettingOptions) => Type.String({ minLength: 1, ...options })

/** An optional text. */
export const optionalText = (options: SettingOptions) => Type.Optional(Type.String({ minLength: 1, ...options }))

/** Our identity and our trust: only paths of files, so that no key is ever in an environment variable. */
export const tlsSettings = {
  CRANK_TRUST_DOMAIN: Type.String({
    default: DEFAULT_TRUST_DOMAIN,
    description: 'Trust domain of this process, the first part of every SPIFFE ID.',
    allowed: 'a trust domain (a-z, 0-9, dot, dash, underscore)',
  }),
  CRANK_TLS_CERT: requiredText({
    description: 'X.509-SVID of this process with its chain, PEM. Watched: a new one is used without a restart.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_KEY: requiredText({
    description: 'Private key of CRANK_TLS_CERT, PEM. Watched.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_BUNDLE: requiredText({
    description:
      'Trusted CAs: a PEM file for CRANK_TRUST_DOMAIN, or a folder of `<trust-domain>.pem` for several domains. Each certificate in it is a trust anchor, root or not. Watched.',
    allowed: 'the path of a PEM file, or of a folder of <trust-domain>.pem',
  }),
}

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
export type TlsFiles = { certFile: string; keyFile: string; bundlePath: string; trustDomain: TrustDomain }

/** `CRANK_TLS_*` in the form that `watchCredentials` takes. */
export function tlsFilesOf(
  values: { CRANK_TLS_CERT: string; CRANK_TLS_KEY: string; CRANK_TLS_BUNDLE: string },
  trustDomain: TrustDomain,
): TlsFiles {
  return {
    certFile: values.CRANK_TLS_CERT,
    keyFile: values.CRANK_TLS_KEY,
    bundlePath: values.CRANK_TLS_BUNDLE,
    trustDomain,
  }
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
