// Application log: JSON lines on stdout, readable text on a terminal; each line has the ids of the active span.
import { createRequire } from 'node:module'
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { pino } from 'pino'
import type * as pinoPretty from 'pino-pretty'
import { isoTime } from '../core/iso-time.ts'
import { printableTexts } from '../core/printable.ts'
import { LogOutput } from './log-output.ts'

export type Logger = pino.Logger
/** The part of a logger that parts with events need. */
export type EventLog = Readonly<Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>>

/** `pretty`: by default true if stdout is a terminal and no destination is given. `destination`: default stdout, best effort. */
type LoggerOptions = {
  level: string
  service: string
  /** Which of several processes; undefined: there is one. */
  slot?: number | undefined
  destination?: pino.DestinationStream
  pretty?: boolean
}

/** The log of a process. There is only one: two of them on one descriptor would mix their lines. */
export type ProcessLog = {
  readonly log: Logger
  /** Lines dropped since the start because the reader was too slow. */
  readonly droppedLines: () => number
  /** Writes the waiting lines, for half a second at most. */
  readonly flush: () => Promise<void>
  /** Flushes, and accepts no more lines. */
  readonly close: () => Promise<void>
}

// A safety net, not a licence to log secrets: a field with one of these names is redacted. Our own code, because pino's
// redaction takes 20 µs a line as soon as a path has a wildcard.
const SECRET_FIELDS = new Set(['key', 'keyPem', 'privateKey', 'authorization', 'cookie', 'password', 'token', 'secret'])
const MAX_DEPTH = 3

/** Creates a logger whose calls never throw. Callers put the name of the event into the field `event`. */
export function createLogger({ level, service, destination, pretty }: LoggerOptions): Logger {
  if (destination === undefined)
    return createProcessLog({ level, service, ...(pretty !== undefined && { pretty }) }).log
  return makeLogger({ level, service }, pretty === true ? prettyStream(destination, false) : destination)
}

/** `isShared`: other processes of this controller log to the same stdout. */
type ProcessLogOptions = Omit<LoggerOptions, 'destination'> & { isShared?: boolean }

/** Creates the one logger of a process, on stdout. */
export function createProcessLog(options: ProcessLogOptions): ProcessLog {
  const { level, service, slot, pretty, isShared = false } = options
  const output = new LogOutput({
    isShared,
    // An error, so that no level but `silent` hides the loss: errors may be among the dropped lines.
    onRoom: (count) =>
      log.error({ event: 'log_lines_dropped', count }, 'log lines were dropped: the reader was too slow'),
  })
  const readable = pretty ?? process.stdout.isTTY
  const log = makeLogger({ level, service, slot }, readable ? prettyStream(output, process.stdout.isTTY) : output)
  return {
    log,
    droppedLines: () => output.dropped(),
    flush: () => output.flush(),
    close: () => output.close(),
  }
}

function makeLogger({ level, service, slot }: LoggerOptions, destination: pino.DestinationStream): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: slot === undefined ? { service } : { service, process: slot },
    timestamp: () => `,"time":"${isoTime(Date.now())}"`,
    formatters: { level: (label) => ({ level: label }), log: (fields) => redact(fields, MAX_DEPTH) },
    mixin: activeSpanIds,
    hooks: { logMethod: logOrSayWhyNot },
  }
  return pino(options, destination)
}

// Logging must not stop the work: a getter or a toJSON may throw.
function logOrSayWhyNot(this: Logger, args: Parameters<pino.LogFn>, method: pino.LogFn): void {
  try {
    method.apply(this, args)
  } catch (cause: unknown) {
    try {
      const [fields, message] = args as unknown[]
      const unloggable = cause instanceof Error ? cause.message : typeof cause
      method.call(this, { event: eventOf(fields), unloggable }, typeof message === 'string' ? message : 'unloggable')
    } catch {
      // The log itself does not work; there is nowhere to report it.
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

// Loaded only when a person reads the log: services write JSON and do not pay for it. Synchronous, line by line: as a stream
// pino-pretty would lose the last lines at exit.
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

// Errors, requests and buffers have their own serialisers.
function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
