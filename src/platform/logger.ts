// Application log: JSON lines on stdout, readable on a terminal, each line carrying the ids of the active span.
import { createRequire } from 'node:module'
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { pino } from 'pino'
import type * as pinoPretty from 'pino-pretty'
import { isoTime } from '../core/iso-time.ts'
import { printableTexts } from '../core/printable.ts'
import { oddNames } from './setting-names.ts'

export type Logger = pino.Logger

/** `pretty` defaults to "stdout is a terminal and no destination is given"; `destination` to stdout, written synchronously. */
export type LoggerOptions = {
  level: string
  service: string
  destination?: pino.DestinationStream
  pretty?: boolean
}

// A safety net, not a licence to log them: what slips into a field by one of these names is not written. Done by hand,
// because pino's own redaction takes 20 µs a line as soon as a path has a wildcard.
const SECRET_FIELDS = new Set(['key', 'keyPem', 'privateKey', 'authorization', 'cookie', 'password', 'token', 'secret'])
const MAX_DEPTH = 3

/** Makes the one logger of a process. Callers put the name of what happened into the field `event`. */
export function createLogger({ level, service, destination, pretty }: LoggerOptions): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: { service },
    timestamp: () => `,"time":"${isoTime(Date.now())}"`,
    formatters: { level: (label) => ({ level: label }), log: (fields) => redact(fields, MAX_DEPTH) },
    mixin: activeSpanIds,
  }
  const readable = pretty ?? (destination === undefined && process.stdout.isTTY)
  return pino(options, readable ? prettyStream(destination) : (destination ?? stdout()))
}

/** One line about variables with our prefixes that nothing reads: left over, or meant for another version. */
export function warnOfUnknown(log: Pick<Logger, 'warn'>, env: NodeJS.ProcessEnv): void {
  const { unknown } = oddNames(env)
  if (unknown.length === 0) return
  log.warn({ event: 'settings_unknown', names: unknown }, 'variables are set that no program of ours reads')
}

function stdout(): pino.DestinationStream {
  return pino.destination({ dest: 1, sync: true })
}

// Loaded only where a person reads: services write JSON and never pay for it. One line in, one text out, at once: as a
// stream pino-pretty would lose the last lines at exit.
function prettyStream(destination: pino.DestinationStream | undefined): pino.DestinationStream {
  const require = createRequire(import.meta.url)
  const { prettyFactory } = require('pino-pretty') as typeof pinoPretty
  const out = destination ?? stdout()
  const prettify = prettyFactory({
    colorize: destination === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,service',
  })
  return { write: (line) => out.write(prettify(printableTexts(line))) }
}

function activeSpanIds(): { trace_id?: string; span_id?: string } {
  const active = trace.getActiveSpan()?.spanContext()
  if (active === undefined || !isSpanContextValid(active)) return {}
  return { trace_id: active.traceId, span_id: active.spanId }
}

function redact(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  let clean = fields
  for (const name in fields) {
    const value = fields[name]
    const safe = SECRET_FIELDS.has(name) ? '[redacted]' : depth > 1 && isPlain(value) ? redact(value, depth - 1) : value
    if (safe === value) continue
    if (clean === fields) clean = { ...fields }
    clean[name] = safe
  }
  return clean
}

// Errors, requests and buffers have serialisers of their own.
function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
