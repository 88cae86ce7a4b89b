// Reads what a scenario left on disk: the audit logs, and the executions that worker processes noted.
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { readLines } from '../../src/audit/lines.ts'
import { isCompressed } from '../../src/audit/places.ts'
import type { Verification } from '../../src/audit/verify.ts'
import type { Execution, Recorded } from './history.ts'
import { segmentFiles, verifyLog, type AuditLine } from '../fixtures/audit-log.ts'

/** The whole lines of a log; none if it is missing. `file`: the segment, as it is called before it is compressed. */
export async function readRecords(log: string): Promise<Recorded[]> {
  const records: Recorded[] = []
  for (const file of segmentFiles(log)) {
    for await (const { text, at, complete } of readLines(file)) {
      if (!complete) continue
      const line = JSON.parse(text) as AuditLine
      records.push({ line, file: plainName(file), endsAt: at + text.length + 1 })
    }
  }
  return records
}

/** How much of each segment there is. A compressed one is complete. */
export function sizesOf(logs: readonly string[]): Record<string, number> {
  const sizes = logs.flatMap(segmentFiles).map((file) => {
    const size = statSync(file, { throwIfNoEntry: false })?.size
    return [plainName(file), size === undefined || isCompressed(file) ? Number.MAX_SAFE_INTEGER : size] as const
  })
  return Object.fromEntries(sizes)
}

function plainName(file: string): string {
  return file.replace(/\.zst$/, '')
}

export async function verifyChains(logs: readonly string[]): Promise<Record<string, Verification>> {
  const chains: Record<string, Verification> = {}
  for (const log of logs) chains[log] = await verifyLog(log)
  return chains
}

/** One line when an execution begins (`answered: none`) and one when it ended. A killed process leaves the first alone. */
export async function readWorkerLog(file: string): Promise<Execution[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const executions = new Map<string, Execution>()
  for (const line of text.split('\n').slice(0, -1)) {
    const { run, ...execution } = JSON.parse(line) as Execution & { run: string }
    const known = executions.get(run)
    if (known === undefined) executions.set(run, execution)
    else known.answered = execution.answered
  }
  return [...executions.values()]
}
