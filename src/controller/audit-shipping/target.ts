// Where the audit log is shipped to, from the OTEL_* variables of logs. The general OTEL_EXPORTER_OTLP_ENDPOINT is not read: it
// is the address of a trace store, and records of who called what must not leave the machine because somebody wanted traces.
import { ConfigError } from '../../platform/env.ts'

/** `caFile`, `certFile` and `keyFile` are read for each new connection, so that they can be replaced. */
export type ShippingTarget = {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly gzip: boolean
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

const PREFIX = 'OTEL_EXPORTER_OTLP_LOGS_'
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
  const endpoint = value('ENDPOINT')
  if (endpoint === undefined || env['OTEL_LOGS_EXPORTER']?.trim() === 'none') return undefined
  const faults: string[] = []
  const url = parseEndpoint(endpoint, faults)
  checkProtocol(value('PROTOCOL'), faults)
  const headers = parseHeaders(value('HEADERS') ?? '', faults)
  const timeoutMs = parseTimeout(value('TIMEOUT'), faults)
  const gzip = parseCompression(value('COMPRESSION'), faults)
  const [certFile, keyFile] = [value('CLIENT_CERTIFICATE'), value('CLIENT_KEY')]
  if ((certFile === undefined) !== (keyFile === undefined))
    faults.push(`${PREFIX}CLIENT_CERTIFICATE and ${PREFIX}CLIENT_KEY: one is missing; set both, or neither`)
  if (faults.length > 0 || url === undefined) throw new ConfigError(faults)
  return { url, headers, timeoutMs, gzip, caFile: value('CERTIFICATE'), certFile, keyFile }
}

function parseEndpoint(text: string, faults: string[]): URL | undefined {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') return url
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
  for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, Math.max(0, at)).trim().toLowerCase()
    const value = decoded(pair.slice(at + 1).trim())
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
