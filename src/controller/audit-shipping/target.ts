// Where the audit log is shipped to, from the OTEL_* variables of logs. The general OTEL_EXPORTER_OTLP_ENDPOINT is not read: it
// is the address of a trace store, and records of who called what must not leave the machine because somebody wanted traces.
import { ConfigError } from '../../platform/setting-fault.ts'
import { serviceName } from '../../platform/tracing/otel-settings.ts'
import type { ShippedFrom } from './log-record.ts'

/**
 * `endpoint`: a URL. `caFile`, `certFile` and `keyFile` are read for each new connection, so that they can be replaced. Only
 * plain values: it is handed to a thread.
 */
export type ShippingTarget = {
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly gzip: boolean
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

const PREFIX = 'OTEL_EXPORTER_OTLP_LOGS_'
const SCOPE = 'crank.audit'
const DEFAULT_TIMEOUT_MS = 10_000
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e]*$/
/** What a request of ours has anyway. */
const OWN_HEADERS = new Set(['content-type', 'content-encoding', 'content-length', 'host', 'transfer-encoding'])

/**
 * Undefined: nothing is shipped, since OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is not set or OTEL_LOGS_EXPORTER is `none`.
 * @throws {ConfigError} with every fault
 */
export function shippingTarget(env: NodeJS.ProcessEnv): ShippingTarget | undefined {
  const value = (name: string): string | undefined => {
    const text = env[PREFIX + name]?.trim() ?? ''
    return text === '' ? undefined : text
  }
  const given = value('ENDPOINT')
  if (given === undefined || env['OTEL_LOGS_EXPORTER']?.trim() === 'none') return undefined
  const faults: string[] = []
  const endpoint = parseEndpoint(given, faults)
  checkProtocol(value('PROTOCOL'), faults)
  const headers = parseHeaders(value('HEADERS') ?? '', faults)
  const timeoutMs = parseTimeout(value('TIMEOUT'), faults)
  const gzip = parseCompression(value('COMPRESSION'), faults)
  const [certFile, keyFile] = [value('CLIENT_CERTIFICATE'), value('CLIENT_KEY')]
  if ((certFile === undefined) !== (keyFile === undefined))
    faults.push(`${PREFIX}CLIENT_CERTIFICATE and ${PREFIX}CLIENT_KEY: one is missing; set both, or neither`)
  if (faults.length > 0 || endpoint === undefined) throw new ConfigError(faults)
  return { endpoint, headers, timeoutMs, gzip, caFile: value('CERTIFICATE'), certFile, keyFile }
}

/** What every shipped record says of its origin: as spans do, with OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. */
export function shippedFrom(
  env: NodeJS.ProcessEnv,
  own: { readonly service: string; readonly version: string; readonly host: string },
): ShippedFrom {
  const given = pairsOf(env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').filter(
    ([name, value]) => name !== '' && value !== undefined,
  )
  const resource = {
    'service.version': own.version,
    'host.name': own.host,
    ...(Object.fromEntries(given) as Record<string, string>),
    'service.name': serviceName(env, own.service),
  }
  return { resource, scope: { name: SCOPE, version: own.version } }
}

/** `name=value,name=value`; a value is undefined if its escapes are broken, and '' if there is none. */
function pairsOf(text: string): (readonly [name: string, value: string | undefined])[] {
  const parts = text.split(',').filter((part) => part.trim() !== '')
  return parts.map((part) => {
    const at = part.indexOf('=')
    return at === -1 ? ['', ''] : [part.slice(0, at).trim(), decoded(part.slice(at + 1).trim())]
  })
}

function parseEndpoint(text: string, faults: string[]): string | undefined {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') return url.href
  faults.push(
    `${PREFIX}ENDPOINT: must be an http or https URL without a user, with its whole path, such as https://collector:4318/v1/logs`,
  )
  return undefined
}

function checkProtocol(protocol: string | undefined, faults: string[]): void {
  if (protocol === undefined || protocol === 'http/json') return
  faults.push(`${PREFIX}PROTOCOL=${protocol}: records are shipped by http/json only; unset it, or set http/json`)
}

/** `name=value,name=value`, values percent-encoded. A value is a secret: no message has it. */
function parseHeaders(text: string, faults: string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [given, value] of pairsOf(text)) {
    const name = given.toLowerCase()
    if (!HEADER_NAME.test(name) || value === undefined || !HEADER_VALUE.test(value))
      faults.push(`${PREFIX}HEADERS: must be name=value pairs with commas between them, values percent-encoded`)
    else if (OWN_HEADERS.has(name)) faults.push(`${PREFIX}HEADERS: ${name} cannot be set; remove it`)
    else headers[name] = value
  }
  return headers
}

function parseTimeout(text: string | undefined, faults: string[]): number {
  if (text === undefined) return DEFAULT_TIMEOUT_MS
  const ms = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (ms === 0) faults.push(`${PREFIX}TIMEOUT=${text}: must be a number of milliseconds from 1`)
  return ms
}

function parseCompression(text: string | undefined, faults: string[]): boolean {
  if (text !== undefined && text !== 'gzip' && text !== 'none')
    faults.push(`${PREFIX}COMPRESSION=${text}: must be gzip or none`)
  return text !== 'none'
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}
