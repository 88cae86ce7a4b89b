// The uses of exceptions in an audit log, which outlives the controllers that count them.
import { openRecord } from '../../audit/chain.ts'
import { readLines } from '../../audit/lines.ts'
import { exceptionIn, groundsIn, rulingIn } from '../../audit/record-members.ts'

type LoggedUse = { readonly uses: number; readonly lastUsedAt: string }
/** `since`: time of the first record; null for an empty log. */
export type LoggedUses = {
  readonly file: string
  readonly since: string | null
  readonly byName: Map<string, LoggedUse>
}

/**
 * Reads the whole log; undefined when it cannot be read.
 * @param fromMs creation time by the exception's name: an earlier exception may have had the same name
 */
export async function usesIn(file: string, fromMs: ReadonlyMap<string, number>): Promise<LoggedUses | undefined> {
  const byName = new Map<string, LoggedUse>()
  let since: string | null = null
  try {
    for await (const { text } of readLines(file)) {
      // Searched as text first: a log has millions of lines, and few of them concern exceptions.
      if (since !== null && !text.includes('"grounds":["exception"]')) continue
      const record = openRecord(text)
      if (typeof record !== 'object') continue
      since ??= record.timestamp
      const name = exceptionIn(record)
      const isUse = rulingIn(record) === 'allow' && groundsIn(record).join() === 'exception'
      if (!isUse || name === null) continue
      if (!(Date.parse(record.timestamp) >= (fromMs.get(name) ?? Number.POSITIVE_INFINITY))) continue
      byName.set(name, { uses: (byName.get(name)?.uses ?? 0) + 1, lastUsedAt: record.timestamp })
    }
  } catch {
    return undefined
  }
  return { file, since, byName }
}
