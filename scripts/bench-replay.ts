// Measures how fast `crank replay` decides, with and without the memo: `node scripts/bench-replay.ts [--decisions n]`.
// It writes its own log (calls of all workers in the manifests, 2 % of them denied, an outcome per call) and runs the
// code of the
// command. On a busy machine CPU time is more reliable than the rate. Budget: 50,000 decisions per second.
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { replayLog } from '../src/cli/replay/run.ts'
import { loadPolicyFiles } from '../src/policy/data/policy-files.ts'
import type { AuditEvent } from '../src/audit/event.ts'
import { GENESIS } from '../src/audit/chain.ts'
import { uuidv7 } from '../src/core/ids.ts'
import { callInput, callRecord, chainLines, outcomeRecord } from './tools/audit-records.ts'

const POLICIES = join(import.meta.dirname, '../policies')
const START_MS = Date.UTC(2026, 10, 20)

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { decisions: { type: 'string', default: '400000' } } })
  const dir = await mkdtemp(join(tmpdir(), 'crank-bench-replay-'))
  try {
    const file = join(dir, 'audit.jsonl')
    const bytes = await writeLog(file, Number(values.decisions))
    say(`${values.decisions} decisions, ${(bytes / 1e6).toFixed(0)} MB, ${availableParallelism()} processors`)
    for (const memo of [false, true]) {
      const cpu = process.cpuUsage()
      const report = await replayLog({ policy: POLICIES, auditFile: file, failOn: 'any', memo })
      const { user, system } = process.cpuUsage(cpu)
      const rate = Math.round((report.decisions / report.elapsedMs) * 1000).toLocaleString('en-US')
      say(
        `${memo ? 'with memo   ' : 'without memo'} ${rate} decisions/s, ` +
          `${((user + system) / report.decisions).toFixed(1)} us of CPU each, all threads; ` +
          `${report.evaluated} evaluated, ${report.changed} changed, ` +
          `${Math.round(process.resourceUsage().maxRSS / 1024)} MiB at most`,
      )
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function writeLog(file: string, decisions: number): Promise<number> {
  const { knownCapabilities, dataText } = await loadPolicyFiles(POLICIES, START_MS)
  const { workers } = JSON.parse(dataText) as { workers: Record<string, { required_capabilities: string[] }> }
  const callers = Object.keys(workers)
  const out = createWriteStream(file)
  let head = GENESIS
  let bytes = 0
  for (let count = 0; count < decisions; count += 1) {
    const who = callers[count % callers.length] ?? ''
    const own = workers[who]?.required_capabilities ?? []
    const isDenied = count % 50 === 49
    const list = isDenied ? [...knownCapabilities].filter((name) => !own.includes(name)) : own
    const capability = list[count % list.length] ?? 'invoke:hello_world'
    const sealed = chainLines(events(who, capability, isDenied, START_MS + count * 7), head)
    head = sealed.head
    bytes += sealed.lines.length
    if (!out.write(sealed.lines)) await once(out, 'drain')
  }
  out.end()
  await finished(out)
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

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

await main()
