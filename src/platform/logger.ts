// Application log: JSON lines on stdout, readable on a terminal, each line carrying the ids of the active span.
import { createRequire } from 'node:module'
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { pino } from 'pino'
import type * as pinoPretty from 'pino-pretty'
import { isoTime } from '../core/iso-time.ts'
import { printableTexts } from '../core/printable.ts'
import { LogOutput } from './log-output.ts'

export type Logger = pino.Logger

/** `pretty` defaults to "stdout is a terminal and no destination is given"; `destination` to stdout, by best effort. */
type LoggerOptions = {
  level: string
  service: string
  destination?: pino.DestinationStream
  pretty?: boolean
}

/** The log of a process. There is one: two of them on one descriptor would mix their lines. */
export type ProcessLog = {
  readonly log: Logger
  /** Lines that nobody took in time, since the start. */
  readonly droppedLines: () => number
  /** Writes what still waits, for half a second at most. */
  readonly flush: () => Promise<void>
  /** Flushes, and takes no more. */
  readonly close: () => Promise<void>
}

// A safety net, not a licence to log them: what slips into a field by one of these names is not written. Done by hand,
// because pino's own redaction takes 20 µs a line as soon as a path has a wildcard.
const SECRET_FIELDS = new Set(['key', 'keyPem', 'privateKey', 'authorization', 'cookie', 'password', 'token', 'secret'])
const MAX_DEPTH = 3

/** Makes a logger; a call of it never throws. Callers put the name of what happened into the field `event`. */
export function createLogger({ level, service, destination, pretty }: LoggerOptions): Logger {
  if (destination === undefined)
    return createProcessLog({ level, service, ...(pretty !== undefined && { pretty }) }).log
  return makeLogger({ level, service }, pretty === true ? prettyStream(destination, false) : destination)
}

/** Makes the one logger of a process, on stdout. */
export function createProcessLog({ level, service, pretty }: Omit<LoggerOptions, 'destination'>): ProcessLog {
  const output = new LogOutput({
    // As an error, so that no level but `silent` hides that errors may be among them.
    onRoom: (count) =>
      log.error({ event: 'log_lines_dropped', count }, 'log lines were dropped: nobody took them in time'),
  })
  const readable = pretty ?? process.stdout.isTTY
  const log = makeLogger({ level, service }, readable ? prettyStream(output, process.stdout.isTTY) : output)
  return {
    log,
    droppedLines: () => output.dropped(),
    flush: () => output.flush(),
    close: () => output.close(),
  }
}

function makeLogger({ level, service }: LoggerOptions, destination: pino.DestinationStream): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: { service },
    timestamp: () => `,"time":"${isoTime(Date.now())}"`,
    formatters: { level: (label) => ({ level: label }), log: (fields) => redact(fields, MAX_DEPTH) },
    mixin: activeSpanIds,
    hooks: { logMethod: logOrSayWhyNot },
  }
  return pino(options, destination)
}

// Who logs has work to do: a getter or a toJSON that throws must not stop it.
function logOrSayWhyNot(this: Logger, args: Parameters<pino.LogFn>, method: pino.LogFn): void {
  try {
    method.apply(this, args)
  } catch (cause: unknown) {
    try {
      const [fields, message] = args as unknown[]
      const unloggable = cause instanceof Error ? cause.message : typeof cause
      method.call(this, { event: eventOf(fields), unloggable }, typeof message === 'string' ? message : 'unloggable')
    } catch {
      // Nothing is left to say it with.
    }
  }
}

function eventOf(fields: unknown): string | undefined {
  try {
    const { event } = fields as { event?: unknown }
    return typeof event === 'string' ? event : undefined
  } catch {
    return undefined
  }
}

// Loaded only where a person reads: services write JSON and never pay for it. One line in, one text out, at once: as a
// stream pino-pretty would lose the last lines at exit.
function prettyStream(out: pino.DestinationStream, colorize: boolean): pino.DestinationStream {
  const require = createRequire(import.meta.url)
  const { prettyFactory } = require('pino-pretty') as typeof pinoPretty
  const prettify = prettyFactory({
    colorize,
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
