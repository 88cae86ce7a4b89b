// The uses of exceptions in the audit logs, which outlive the controllers that count them.
import { openRecord } from '../../audit/chain.ts'
import { readLines } from '../../audit/lines.ts'
import { firstRecordOf } from '../../audit/outlook.ts'
import type { AuditChain } from '../../audit/places.ts'
import { exceptionIn, groundsIn, rulingIn } from '../../audit/record-members.ts'
import { segmentsWithin } from '../../audit/segments-within.ts'
import type { AuditLogs } from '../audit-config.ts'

type LoggedUse = { readonly uses: number; readonly lastUsedAt: string }
/** `file`: the name of the logs. `since`: time of the first record; null for empty logs. */
export type LoggedUses = {
  readonly file: string
  readonly since: string | null
  readonly byName: Map<string, LoggedUse>
}

/**
 * Reads the logs from the creation of the oldest exception on; undefined when one cannot be read.
 * @param fromMs creation time by the exception's name: an earlier exception may have had the same name
 */
export async function usesIn(
  { chains, name }: Pick<AuditLogs, 'chains' | 'name'>,
  fromMs: ReadonlyMap<string, number>,
): Promise<LoggedUses | undefined> {
  const uses: Uses = { byName: new Map(), since: null }
  if (chains.length === 0) return undefined
  const since = Math.min(...fromMs.values())
  try {
    for (const { segments } of chains) {
      uses.since = earlier(uses.since, await beginningOf(segments))
      for (const { file } of await segmentsWithin(segments, { since })) await addUses(uses, file, fromMs)
    }
  } catch {
    return undefined
  }
  return { file: name, ...uses }
}

async function beginningOf([oldest]: AuditChain['segments']): Promise<string | null> {
  const record = oldest === undefined ? undefined : await firstRecordOf(oldest.file)
  return record?.timestamp ?? null
}

function earlier(one: string | null, other: string | null): string | null {
  if (one === null || other === null) return one ?? other
  return one < other ? one : other
}

type Uses = { readonly byName: Map<string, LoggedUse>; since: string | null }

async function addUses(uses: Uses, file: string, fromMs: ReadonlyMap<string, number>): Promise<void> {
  for await (const { text } of readLines(file)) {
    // Searched as text first: a log has millions of lines, and few of them concern exceptions.
    if (!text.includes('"grounds":["exception"]')) continue
    const record = openRecord(text)
    if (typeof record !== 'object') continue
    const { timestamp } = record
    const name = exceptionIn(record)
    const isUse = rulingIn(record) === 'allow' && groundsIn(record).join() === 'exception'
    if (!isUse || name === null) continue
    if (!(Date.parse(timestamp) >= (fromMs.get(name) ?? Number.POSITIVE_INFINITY))) continue
    const { uses: before, lastUsedAt } = uses.byName.get(name) ?? { uses: 0, lastUsedAt: timestamp }
    uses.byName.set(name, { uses: before + 1, lastUsedAt: lastUsedAt > timestamp ? lastUsedAt : timestamp })
  }
}
