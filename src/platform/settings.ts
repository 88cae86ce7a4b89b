// Settings that the controller and the workers share: the pieces their configuration schemas are made of.
import { isIPv6 } from 'node:net'
import Type from 'typebox'
import type { SpiffeId, TrustDomain } from '../core/spiffe-id.ts'
import { parseSpiffeId, parseTrustDomain, SpiffeIdError } from '../core/spiffe-id.ts'
import { fault, type SettingOptions } from './env.ts'

/** A TCP port; 0 lets the system choose, the ready log line says which. */
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

/** A text without a default that must be given. */
const requiredText = (options: SettingOptions) => Type.String({ minLength: 1, ...options })

/** A text that may be left out. */
export const optionalText = (options: SettingOptions) => Type.Optional(Type.String({ minLength: 1, ...options }))

/** Who we are, and whom we trust: files only, so that no key ever stands in an environment. */
export const tlsSettings = {
  CRANK_TRUST_DOMAIN: Type.String({
    default: 'crank.local',
    description: 'Own trust domain, the first part of every SPIFFE ID.',
    allowed: 'a trust domain (a-z, 0-9, dot, dash, underscore)',
  }),
  CRANK_TLS_CERT: requiredText({
    description: 'Own X.509-SVID with its chain, PEM. Watched: a new one is used without a restart.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_KEY: requiredText({
    description: 'Private key of CRANK_TLS_CERT, PEM. Watched.',
    allowed: 'the path of a PEM file',
  }),
  CRANK_TLS_BUNDLE: requiredText({
    description:
      'Trusted CAs: a PEM file for the own trust domain, or a folder of `<trust-domain>.pem` for several. Each certificate in it is an anchor, root or not. Watched.',
    allowed: 'the path of a PEM file, or of a folder of <trust-domain>.pem',
  }),
}

/** The log level, as pino knows it. */
export const logLevelSetting = {
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Lowest level that is logged.',
  }),
}

/** Files of an identity, in the shape that `watchCredentials` takes. */
export type TlsFiles = { certFile: string; keyFile: string; bundlePath: string; trustDomain: TrustDomain }

/** `CRANK_TLS_*` as `watchCredentials` wants them. */
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
 * Reads one value with its own parser. A refusal becomes a fault in `faults`, and undefined is given back, so that the
 * remaining settings are looked at too.
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

/** A trust domain, refused in the words of a setting. */
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

/** A SPIFFE ID, refused in the words of a setting. */
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
