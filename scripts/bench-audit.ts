// Measures the audit log as it is after years: `node scripts/bench-audit.ts [--records n] [--segment-bytes n] [--rounds n] [--dir folder]`.
// It makes compressed segments of two slots, indexes them, and asks by id and by filters, each time from the beginning, as a
// command does. A row whose limit is missed makes the exit code 1. The limits of the times are meant for 10 million records
// on an idle machine: look at the load before you believe a miss.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { openRecord } from '../src/audit/chain.ts'
import { indexSegment } from '../src/audit/index/index-segment.ts'
import { createAuditSearch, type AuditSearch } from '../src/audit/index/search.ts'
import type { AuditQuery } from '../src/audit/index/traits.ts'
import { readLines } from '../src/audit/lines.ts'
import { auditChainsIn, type AuditChain } from '../src/audit/places.ts'
import { makeLog } from './bench-audit/make-log.ts'

const ROOT = join(import.meta.dirname, '..')
const START_MS = Date.UTC(2026, 8, 1)
const EVERY_MS = 20
const SLOTS = 2
const ID_LIMIT_MS = 50
const PAGE_LIMIT_MS = 1000
const ADDED_LIMIT_MS = 100
const INDEX_LIMIT = 20_000
const SAMPLE_LINE = 100

type Row = { readonly what: string; readonly figure: string; readonly limit: string; readonly isMissed: boolean }

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      records: { type: 'string', default: '400000' },
      'segment-bytes': { type: 'string', default: '33554432' },
      rounds: { type: 'string', default: '15' },
      dir: { type: 'string' },
    },
  })
  const rounds = Math.max(1, Number(values.rounds))
  const dir = values.dir ?? (await mkdtemp(join(tmpdir(), 'crank-bench-audit-')))
  const auditDir = join(dir, 'audit')
  try {
    if (!existsSync(auditDir)) makeLogs(auditDir, Number(values.records), Number(values['segment-bytes']))
    const chains = auditChainsIn(auditDir)
    const segments = chains.reduce((sum, chain) => sum + chain.segments.length, 0)
    say(`${chains.length} slots, ${segments} segments, ${availableParallelism()} processors, load ${loadNow()}`)
    const rows = [await indexing(chains), ...(await asking(auditDir, rounds)), ...(await commands(auditDir, rounds))]
    for (const { what, figure, limit, isMissed } of rows) {
      say(`${isMissed ? 'missed' : '      '}  ${what.padEnd(54)} ${figure.padEnd(44)} limit ${limit}`)
    }
    say(`load at the end ${loadNow()}`)
    if (rows.some(({ isMissed }) => isMissed)) process.exitCode = 1
  } finally {
    if (values.dir === undefined) await rm(dir, { recursive: true, force: true })
  }
}

function makeLogs(auditDir: string, records: number, segmentBytes: number): void {
  for (let slot = 0; slot < SLOTS; slot++) {
    const share = Math.ceil(records / SLOTS)
    makeLog({ auditDir, slot, records: share, segmentBytes, startMs: START_MS, everyMs: EVERY_MS, compress: true })
  }
}

/** All segments that have no index yet; with those of an earlier run nothing is left to measure. */
async function indexing(chains: readonly AuditChain[]): Promise<Row> {
  const [startMs, cpu] = [performance.now(), process.cpuUsage()]
  let [records, bytes] = [0, 0]
  for (const { segments } of chains) {
    for (const [at, { file }] of segments.entries()) {
      const made = await indexSegment(file, { isClosed: true, before: segments.slice(0, at) })
      records += made.records
      bytes += made.bytes
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  const perCpuSecond = (records / (user + system)) * 1e6
  const perSecond = (records / (performance.now() - startMs)) * 1000
  return {
    what: `indexing of ${count(records)} records (${(bytes / 1e9).toFixed(1)} GB)`,
    figure: records === 0 ? 'done before' : `${count(perCpuSecond)}/s of CPU, ${count(perSecond)}/s by the clock`,
    limit: `${count(INDEX_LIMIT)}/s of CPU`,
    isMissed: records > 0 && perCpuSecond < INDEX_LIMIT,
  }
}

const ABSENT = 'f'.repeat(20)
const PAGES: readonly (readonly [name: string, query: AuditQuery])[] = [
  ['all', {}],
  ['denied', { decision: 'deny' }],
  ['a caller, 5xx', { who: 'caller-103', status: { from: 500, to: 599 } }],
  ['allowed, and timed out', { decision: 'allow', outcome: 'timeout' }],
  ['would_deny and timeout: never', { decision: 'would_deny', outcome: 'timeout' }],
  ['a caller that is not there', { who: 'nobody' }],
  ['a text', { text: 'WORKER_BUSY' }],
  ['a text that is not there', { text: ABSENT }],
  ['a second of a worker', { worker: 'worker-3', since: START_MS + 60_000, until: START_MS + 61_000 }],
]

type Question = { readonly what: string; readonly limitMs: number; readonly ask: Asked }
type Asked = (search: AuditSearch, round: number) => Promise<readonly unknown[]>

async function asking(auditDir: string, rounds: number): Promise<Row[]> {
  const samples = await sampleCalls(auditDir)
  const sample = (round: number): Sample => samples[round % samples.length] ?? { decisionId: '', traceId: '' }
  const absentTrace = ABSENT + '0'.repeat(12)
  const questions: [what: string, limitMs: number, ask: Asked][] = [
    ['by decision id', ID_LIMIT_MS, (search, round) => search.ofDecision(sample(round).decisionId)],
    ['by trace id', ID_LIMIT_MS, (search, round) => search.ofTrace(sample(round).traceId)],
    ['by a trace id that is not there', ID_LIMIT_MS, (search) => search.ofTrace(absentTrace)],
  ]
  for (const [name, query] of PAGES) {
    for (const order of ['newest', 'oldest'] as const) {
      const ask: Asked = async (search) => (await search.page(query, { order, limit: 50 })).hits
      questions.push([`page, ${order} first: ${name}`, PAGE_LIMIT_MS, ask])
    }
  }
  const rows: Row[] = []
  for (const [what, limitMs, ask] of questions) rows.push(await timed(auditDir, rounds, { what, limitMs, ask }))
  return rows
}

/** Several rounds, in each of which everything is opened again, as in a command of its own. */
async function timed(auditDir: string, rounds: number, { what, limitMs, ask }: Question): Promise<Row> {
  const times: number[] = []
  let found = 0
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now()
    await using search = createAuditSearch(auditChainsIn(auditDir))
    found = (await ask(search, round)).length
    times.push(performance.now() - startMs)
  }
  return toRow(what, limitMs, times, `, ${found} found`)
}

type Sample = { readonly decisionId: string; readonly traceId: string }

/** Calls of many segments. */
async function sampleCalls(auditDir: string): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const { file } of auditChainsIn(auditDir).flatMap(({ segments }) => segments)) {
    for await (const { number, text } of readLines(file)) {
      const record = openRecord(text)
      if (number < SAMPLE_LINE || typeof record === 'string') continue
      samples.push({ decisionId: String(record['decision_id']), traceId: String(record['trace_id']) })
      break
    }
  }
  return samples
}

/** Whole commands, and what the log adds to the same command without one: loading the code takes longer than the search. */
async function commands(auditDir: string, rounds: number): Promise<Row[]> {
  const [{ decisionId } = { decisionId: '' }] = await sampleCalls(auditDir)
  const policies = ['--policy', join(ROOT, 'policies')]
  const place = ['--audit-dir', auditDir]
  const pairs: [without: readonly string[], withLog: readonly string[]][] = [
    [['--version'], ['audit', 'search', '--decision', decisionId, ...place]],
    [
      ['explain', 'streaming', 'convert', 'document_to_pdf', ...policies],
      ['explain', decisionId, ...place, ...policies],
    ],
  ]
  const rows: Row[] = []
  for (const [without, withLog] of pairs) rows.push(...(await compared(without, withLog, rounds)))
  return rows
}

async function compared(without: readonly string[], withLog: readonly string[], rounds: number): Promise<Row[]> {
  const times = { without: [] as number[], withLog: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    times.without.push(await commandMs(without))
    times.withLog.push(await commandMs(withLog))
  }
  const added = times.withLog.map((ms, round) => ms - (times.without[round] ?? 0))
  const name = (args: readonly string[]): string => `command: crank ${args.slice(0, 2).join(' ')}`
  return [
    toRow(name(without), undefined, times.without, ''),
    toRow(`${name(withLog)} <id>`.replace(/[\da-f]{8}-\S+ /, ''), undefined, times.withLog, ''),
    toRow('  what the log adds', ADDED_LIMIT_MS, added, ''),
  ]
}

async function commandMs(args: readonly string[]): Promise<number> {
  const startMs = performance.now()
  await promisify(execFile)(process.execPath, [join(ROOT, 'bin/crank.js'), ...args])
  return performance.now() - startMs
}

function toRow(what: string, limitMs: number | undefined, times: readonly number[], more: string): Row {
  const sorted = times.toSorted((a, b) => a - b)
  const middle = sorted[sorted.length >> 1] ?? 0
  return {
    what,
    figure: `median ${middle.toFixed(1)} ms, longest ${(sorted.at(-1) ?? 0).toFixed(1)} ms${more}`,
    limit: limitMs === undefined ? 'none' : `${limitMs} ms`,
    isMissed: limitMs !== undefined && middle > limitMs,
  }
}

function loadNow(): string {
  return (loadavg()[0] ?? 0).toFixed(1)
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

await main()
