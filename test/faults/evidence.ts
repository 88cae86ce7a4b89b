// Reads what a scenario left on disk: the audit logs, and the executions that worker processes noted.
import { readFile } from 'node:fs/promises'
import { verifyAudit, type Verification } from '../../src/audit/verify.ts'
import type { AuditLine } from '../fixtures/parties.ts'
import type { Execution, Recorded } from './history.ts'

const LINE_FEED = 10

/** The whole lines of an audit file; none if the file is missing. */
export async function readRecords(file: string): Promise<Recorded[]> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0))
  const records: Recorded[] = []
  for (let start = 0; ;) {
    const end = bytes.indexOf(LINE_FEED, start)
    if (end < 0) return records
    const line = JSON.parse(bytes.toString('utf8', start, end)) as AuditLine
    records.push({ line, file, endsAt: end + 1 })
    start = end + 1
  }
}

export async function verifyChains(files: readonly string[]): Promise<Record<string, Verification>> {
  const chains: Record<string, Verification> = {}
  for (const file of files) chains[file] = await verifyAudit(file)
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
