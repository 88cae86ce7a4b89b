// The uses of exceptions in the audit logs, which outlive the controllers that count them.
import { openRecord } from '../../audit/chain.ts'
import { readLines } from '../../audit/lines.ts'
import { exceptionIn, groundsIn, rulingIn } from '../../audit/record-members.ts'
import type { AuditLogs } from '../audit-config.ts'

type LoggedUse = { readonly uses: number; readonly lastUsedAt: string }
/** `file`: the name of the logs. `since`: time of the first record; null for empty logs. */
export type LoggedUses = {
  readonly file: string
  readonly since: string | null
  readonly byName: Map<string, LoggedUse>
}

/**
 * Reads the whole logs; undefined when one cannot be read.
 * @param fromMs creation time by the exception's name: an earlier exception may have had the same name
 */
export async function usesIn(
  { files, name }: Pick<AuditLogs, 'files' | 'name'>,
  fromMs: ReadonlyMap<string, number>,
): Promise<LoggedUses | undefined> {
  const uses: Uses = { byName: new Map(), since: null }
  if (files.length === 0) return undefined
  try {
    for (const file of files) await addUses(uses, file, fromMs)
  } catch {
    return undefined
  }
  return { file: name, ...uses }
}

type Uses = { readonly byName: Map<string, LoggedUse>; since: string | null }

async function addUses(uses: Uses, file: string, fromMs: ReadonlyMap<string, number>): Promise<void> {
  let isFirst = true
  for await (const { text } of readLines(file)) {
    // Searched as text first: a log has millions of lines, and few of them concern exceptions.
    if (!isFirst && !text.includes('"grounds":["exception"]')) continue
    const record = openRecord(text)
    if (typeof record !== 'object') continue
    const { timestamp } = record
    if (isFirst && (uses.since === null || timestamp < uses.since)) uses.since = timestamp
    isFirst = false
    const name = exceptionIn(record)
    const isUse = rulingIn(record) === 'allow' && groundsIn(record).join() === 'exception'
    if (!isUse || name === null) continue
    if (!(Date.parse(timestamp) >= (fromMs.get(name) ?? Number.POSITIVE_INFINITY))) continue
    const { uses: before, lastUsedAt } = uses.byName.get(name) ?? { uses: 0, lastUsedAt: timestamp }
    uses.byName.set(name, { uses: before + 1, lastUsedAt: lastUsedAt > timestamp ? lastUsedAt : timestamp })
  }
}
