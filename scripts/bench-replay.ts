// Measures how fast `crank replay` decides, with and without the memo: `node scripts/bench-replay.ts [--decisions n] [--rounds n]`.
// It writes the logs of two slots, of compressed segments but for the newest (calls of all workers in the manifests, 2 % of them
// denied, an outcome per call), and runs the code of the command.
// Without the memo it compares with what one thread needs for a decision and for the parsing of its record, times the processors.
// A limit that is missed makes the exit code 1. The rate needs all processors: look at the load before you believe a miss; the ratio
// of CPU times holds on a busy machine too.
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { enableCompileCache } from 'node:module'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { GENESIS } from '../src/audit/chain.ts'
import { compressSegment } from '../src/audit/compress.ts'
import type { AuditEvent } from '../src/audit/event.ts'
import { readLines } from '../src/audit/lines.ts'
import { auditChainsIn, filesOf, segmentFile, slotFolder } from '../src/audit/places.ts'
import { readRecorded, type Recorded } from '../src/cli/replay/recorded.ts'
import type { Report } from '../src/cli/replay/report.ts'
import { replayLog } from '../src/cli/replay/run.ts'
import { uuidv7 } from '../src/core/ids.ts'
import { loadPolicyFiles } from '../src/policy/data/policy-files.ts'
import { createOpaWasm } from '../src/policy/engine/opa-wasm.ts'
import { median } from './bench/statistics.ts'
import { callInput, callRecord, chainLines, outcomeRecord } from './tools/audit-records.ts'

const POLICIES = join(import.meta.dirname, '../policies')
const START_MS = Date.UTC(2026, 10, 20)
const SLOTS = 2
const SEGMENT_DECISIONS = 20_000
/** A decision and its record, as often as V8 needs to compile them, and then as often as it takes to measure. */
const WARM_UP = 20_000
const MEASURED = 20_000
const MEMO_LIMIT = 50_000
const RATIO_LIMIT = 0.7

type Round = {
  /** CPU of one decision and of the parsing of one record, in us. */
  readonly oneUs: number
  readonly plain: Replayed
  readonly memoised: Replayed
}
type Replayed = { readonly report: Report; readonly perSecond: number; readonly cpuUs: number }

async function main(): Promise<void> {
  // As bin/crank.js does.
  enableCompileCache()
  const { values } = parseArgs({
    options: { decisions: { type: 'string', default: '400000' }, rounds: { type: 'string', default: '3' } },
  })
  const dir = await mkdtemp(join(tmpdir(), 'crank-bench-replay-'))
  try {
    const auditDir = join(dir, 'audit')
    const bytes = await writeLogs(auditDir, Number(values.decisions))
    say(`${values.decisions} decisions, ${(bytes / 1e6).toFixed(0)} MB, ${cores()} processors, load ${load()}`)
    const measureOne = await createReference(auditDir)
    const rounds: Round[] = []
    for (let n = 0; n < Math.max(1, Number(values.rounds)); n++) {
      const oneUs = await measureOne()
      const [plain, memoised] = [await replay(auditDir, false), await replay(auditDir, true)]
      rounds.push({ oneUs, plain, memoised })
      say(`round ${n + 1}: ${describe('without memo', plain)}; ${describe('with memo', memoised)}; load ${load()}`)
    }
    if (judge(rounds)) process.exitCode = 1
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Prints the figures beside their limits. @returns whether one is missed */
function judge(rounds: readonly Round[]): boolean {
  const oneUs = median(rounds.map((round) => round.oneUs))
  const ideal = (cores() * 1e6) / oneUs
  const rows = [
    {
      what: `without memo, per second / (${cores()} processors / ${oneUs.toFixed(1)} us = ${whole(ideal)})`,
      found: median(rounds.map((round) => (round.plain.perSecond * round.oneUs) / (cores() * 1e6))),
      limit: RATIO_LIMIT,
    },
    {
      what: 'CPU of a decision and a parse / CPU of a replayed decision, all threads, starts included',
      found: median(rounds.map((round) => round.oneUs / round.plain.cpuUs)),
      limit: RATIO_LIMIT,
    },
    {
      what: 'with memo, decisions per second',
      found: median(rounds.map((round) => round.memoised.perSecond)),
      limit: MEMO_LIMIT,
    },
  ]
  for (const { what, found, limit } of rows) {
    const [figure, least] = [found, limit].map((value) => (value < 10 ? value.toFixed(2) : whole(value)))
    say(`${found < limit ? 'missed' : '      '}  ${what.padEnd(88)} ${figure}, limit >= ${least}`)
  }
  return rows.some(({ found, limit }) => found < limit)
}

function describe(what: string, { report, perSecond, cpuUs }: Replayed): string {
  const { evaluated, changed } = report
  return `${what} ${whole(perSecond)}/s, ${cpuUs.toFixed(1)} us of CPU each, ${evaluated} evaluated, ${changed} changed`
}

async function replay(auditDir: string, memo: boolean): Promise<Replayed> {
  const cpu = process.cpuUsage()
  const report = await replayLog({ policy: POLICIES, auditDir, failOn: 'any', memo })
  const { user, system } = process.cpuUsage(cpu)
  const { decisions, elapsedMs } = report
  return { report, perSecond: (decisions / elapsedMs) * 1000, cpuUs: (user + system) / decisions }
}

/** Measures on this thread what is the least that a replay has to do for a decision. */
async function createReference(auditDir: string): Promise<() => Promise<number>> {
  const { decide } = await createOpaWasm({ files: await loadPolicyFiles(POLICIES, START_MS), timeoutMs: 10_000 })
  const texts: string[] = []
  const recorded: Recorded[] = []
  for (const file of auditChainsIn(auditDir).flatMap(filesOf)) {
    for await (const { text } of readLines(file)) {
      const line = readRecorded(text, { from: undefined, until: undefined })
      if (typeof line === 'string') continue
      texts.push(text)
      recorded.push(line)
      if (texts.length === MEASURED) break
    }
    if (texts.length === MEASURED) break
  }
  const repeat = async (count: number): Promise<number> => {
    // The CPU of the whole process, as for a replay: the collector and the compilers of V8 have threads of their own.
    const before = process.cpuUsage()
    for (let n = 0; n < count; n++) {
      const at = n % texts.length
      const line = recorded[at]
      JSON.parse(texts[at] ?? '')
      if (line !== undefined) await decide(line.question, line.input)
    }
    const { user, system } = process.cpuUsage(before)
    return (user + system) / count
  }
  await repeat(WARM_UP)
  return () => repeat(MEASURED)
}

/** @returns how many bytes the lines have */
async function writeLogs(auditDir: string, decisions: number): Promise<number> {
  const { knownCapabilities, dataText } = await loadPolicyFiles(POLICIES, START_MS)
  const { workers } = JSON.parse(dataText) as { workers: Record<string, { required_capabilities: string[] }> }
  const callers = Object.keys(workers)
  const eventsOf = (count: number): AuditEvent[] => {
    const who = callers[count % callers.length] ?? ''
    const own = workers[who]?.required_capabilities ?? []
    const isDenied = count % 50 === 49
    const list = isDenied ? [...knownCapabilities].filter((name) => !own.includes(name)) : own
    const capability = list[count % list.length] ?? 'invoke:hello_world'
    return events(who, capability, isDenied, START_MS + count * 7)
  }
  let bytes = 0
  for (let slot = 0; slot < SLOTS; slot++) {
    let head = GENESIS
    for (let from = slot; from < decisions; from += SLOTS * SEGMENT_DECISIONS) {
      const file = segmentFile(slotFolder(auditDir, slot), head.seq + 1)
      const to = Math.min(decisions, from + SLOTS * SEGMENT_DECISIONS)
      const texts: string[] = []
      for (let count = from; count < to; count += SLOTS) {
        const sealed = chainLines(eventsOf(count), head)
        head = sealed.head
        texts.push(sealed.lines)
      }
      const content = texts.join('')
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
      bytes += content.length
      if (to < decisions) compressSegment(file)
    }
  }
  return bytes
}

function events(who: string, capability: string, isDenied: boolean, atMs: number): AuditEvent[] {
  const input = callInput({ who, atNs: BigInt(atMs) * 1_000_000n, decisionId: uuidv7(atMs) }, capability)
  const common = { mode: 'enforce', exception: null, policyVersion: '1.0.0' } as const
  if (!isDenied) {
    return [
      callRecord(input, { ...common, decision: 'allow', grounds: ['declared'], reasons: [] }),
      outcomeRecord(input),
    ]
  }
  const message = `Worker ${who} not authorized for capability ${capability}`
  const reasons = [{ code: 'capability_not_declared', message }]
  return [callRecord(input, { ...common, decision: 'deny', grounds: [], reasons })]
}

function cores(): number {
  return availableParallelism()
}

function load(): string {
  return loadavg()[0]?.toFixed(1) ?? '?'
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

await main()
