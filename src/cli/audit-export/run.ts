// `crank audit export`: the records of all slots, or of all controllers of a mesh, by time, in a format that other tools read.
import { readFile } from 'node:fs/promises'
import { AUDIT_STREAM } from '../../audit/audit-stream.ts'
import type { Fault } from '../../audit/chain-check.ts'
import { WRITERS, type ExportFormat } from '../../audit/export/formats.ts'
import type { Exported } from '../../audit/export/exported.ts'
import { createPseudonyms, type Pseudonyms } from '../../audit/export/pseudonyms.ts'
import { damageOf, type OnDamaged } from '../../audit/damage.ts'
import { mergeByTime } from '../../audit/merge.ts'
import type { AuditChain } from '../../audit/places.ts'
import { readAudits, type AuditRecord } from '../../audit/reader.ts'
import { openSegment } from '../../audit/segment-bytes.ts'
import { segmentsWithin } from '../../audit/segments-within.ts'
import { auditLogsOf, unreadable, type AuditOptions } from '../audit-config.ts'
import { createDamageReport, type DamageReport } from '../damage-report.ts'
import { environment } from '../environment.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { parseSince } from '../option-values.ts'
import { say, writeJson, writeLine } from '../output.ts'
import { createProgress } from '../replay/progress.ts'
import { openSink, type Sink } from './sink.ts'

type ExportOptions = AuditOptions & {
  format: ExportFormat
  from: 'disk' | 'nats'
  since?: string | undefined
  until?: string | undefined
  pseudonymise?: string | undefined
  out?: string | undefined
}

type Window = { readonly sinceMs: number | undefined; readonly untilMs: number }
type Placed = AuditRecord & { readonly slot: number | string | null }
type Source = {
  /** For messages. */
  readonly name: string
  /** The size of all that is read; 0: not known. */
  readonly bytes: number
  /** Each in its order. */
  readonly chains: readonly AsyncGenerator<Placed, void>[]
  /** What is missing or changed; known when all is read. */
  readonly faults: () => readonly Fault[]
  readonly close: () => Promise<void>
}
type Summary = {
  readonly format: ExportFormat
  readonly file: string | null
  records: number
  first: string | null
  last: string | null
  readonly pseudonymised: boolean
}
type Reported = Summary & { readonly missing: ReturnType<DamageReport['missing']> }

/** Shorter keys can be guessed. */
const MIN_KEY_BYTES = 16

/** Streams the records to standard output, or to `--out`, which then exists as a whole or not at all. */
export async function exportAudit(options: ExportOptions): Promise<ExitCode> {
  const window = windowOf(options, Date.now())
  const damage = createDamageReport()
  const source =
    options.from === 'nats' ? await streamSource(options, window) : await diskSource(options, window, damage.onDamaged)
  const pseudonyms =
    options.pseudonymise === undefined ? undefined : createPseudonyms(await readKey(options.pseudonymise))
  try {
    const summary = await writeOut(source, { options, window, pseudonyms })
    const faults = source.faults()
    report({ ...summary, missing: damage.missing() }, options, faults)
    return damage.exit(faults.length === 0 ? EXIT.ok : EXIT.negative)
  } finally {
    await source.close()
  }
}

type To = {
  readonly options: ExportOptions
  readonly window: Window
  readonly pseudonyms: Pseudonyms | undefined
}

async function writeOut(source: Source, to: To): Promise<Summary> {
  const sink = await openSink(to.options.out)
  try {
    const summary = await copy(source, { ...to, sink })
    await sink.finish()
    return summary
  } catch (cause: unknown) {
    await sink.abandon()
    throw unreadable(source.name, cause)
  }
}

async function copy(source: Source, { options, window, pseudonyms, sink }: To & { sink: Sink }): Promise<Summary> {
  const { header, line } = WRITERS[options.format]
  const isPseudonymised = pseudonyms !== undefined
  const summary: Summary = {
    format: options.format,
    file: options.out ?? null,
    records: 0,
    first: null,
    last: null,
    pseudonymised: isPseudonymised,
  }
  const progress = createProgress(source.bytes, process.stderr, () => performance.now(), 'records')
  let bytes = 0
  await sink.write(header)
  try {
    for await (const { text, record, slot } of mergeByTime(source.chains)) {
      bytes += text.length + 1
      if (Date.parse(record.timestamp) >= window.untilMs) continue
      const exported: Exported = isPseudonymised
        ? { slot, text: undefined, record: pseudonyms.apply(record) }
        : { slot, text, record }
      await sink.write(line(exported))
      summary.records += 1
      summary.first ??= record.timestamp
      summary.last = record.timestamp
      progress.update(bytes, summary.records)
    }
  } finally {
    progress.end()
  }
  return summary
}

async function diskSource(options: ExportOptions, window: Window, onDamaged: OnDamaged): Promise<Source> {
  const { sinceMs, untilMs } = window
  const logs = auditLogsOf(options, environment())
  const filter = sinceMs === undefined ? {} : { since: sinceMs }
  try {
    const chains = await Promise.all(logs.chains.map((chain) => upTo(chain, untilMs)))
    return {
      name: logs.name,
      bytes: await sizeOf(chains, window),
      chains: chains.map((chain) => placed(chain, readAudits([chain], filter, onDamaged))),
      faults: () => [],
      close: () => Promise.resolve(),
    }
  } catch (cause: unknown) {
    throw unreadable(logs.name, cause)
  }
}

async function streamSource({ auditFile, auditDir }: ExportOptions, { sinceMs }: Window): Promise<Source> {
  if (auditFile !== undefined || auditDir !== undefined)
    throw new CliError(EXIT.usage, '--from nats reads no files: leave out --audit and --audit-dir')
  const { openStreamSource } = await import('./stream-source.ts')
  const { readNatsClient } = await import('../nats-config.ts')
  const source = await openStreamSource(await readNatsClient(environment(), Date.now), sinceMs)
  return { ...source, name: AUDIT_STREAM, bytes: 0 }
}

async function* placed({ slot }: AuditChain, records: AsyncGenerator<AuditRecord, void>): AsyncGenerator<Placed, void> {
  for await (const record of records) yield { ...record, slot }
}

/** Without the newest segments, all of whose records are later. */
async function upTo(chain: AuditChain, until: number): Promise<AuditChain> {
  return { ...chain, segments: await segmentsWithin(chain.segments, { until }) }
}

/** 0: not known, since what is older than the window is not read. */
async function sizeOf(chains: readonly AuditChain[], { sinceMs }: Window): Promise<number> {
  if (!process.stderr.isTTY || sinceMs !== undefined) return 0
  let bytes = 0
  for (const { file } of chains.flatMap(({ segments }) => segments)) {
    const segment = await openSegment(file).catch(unlessDamaged)
    bytes += (await segment?.size()) ?? 0
    await segment?.close()
  }
  return bytes
}

/** It is told when it is read. */
function unlessDamaged(cause: unknown): undefined {
  if (damageOf(cause) === undefined) throw cause
}

function windowOf({ since, until }: ExportOptions, nowMs: number): Window {
  const sinceMs = since === undefined ? undefined : parseSince(since, nowMs)
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : parseSince(until, nowMs, '--until')
  if (sinceMs !== undefined && untilMs <= sinceMs)
    throw new CliError(EXIT.usage, `--until "${String(until)}": must be later than --since "${String(since)}"`)
  return { sinceMs, untilMs }
}

async function readKey(file: string): Promise<Buffer> {
  const hint = 'make one: head -c 32 /dev/urandom | base64 > FILE, and keep it to yourself'
  const key = await readFile(file).catch((cause: unknown) => {
    const { code = String(cause) } = cause as NodeJS.ErrnoException
    throw new CliError(EXIT.usage, `--pseudonymise: cannot read ${file}: ${code}`, { cause, hint })
  })
  const trimmed = Buffer.from(key.toString('latin1').trim(), 'latin1')
  if (trimmed.length >= MIN_KEY_BYTES) return trimmed
  throw new CliError(EXIT.usage, `--pseudonymise: ${file} has fewer than ${MIN_KEY_BYTES} bytes`, { hint })
}

/** On stderr where the data is on stdout. */
function report(summary: Reported, { out, output }: ExportOptions, faults: readonly Fault[]): void {
  for (const { file, message } of faults) say(`chain ${file}: ${message}`)
  if (out !== undefined && output === 'json') {
    writeJson(summary)
    return
  }
  const span = summary.first === null ? '' : `, ${summary.first} to ${summary.last}`
  const text = `${summary.records.toLocaleString('en-US')} records as ${summary.format}${span}${out === undefined ? '' : `: ${out}`}`
  if (out === undefined) say(text)
  else writeLine(text)
}
