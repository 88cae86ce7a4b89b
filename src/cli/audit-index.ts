// Opens the audit logs for a search, and says so when an index has to be made first.
import type { OnDamaged } from '../audit/damage.ts'
import { createAuditSearch, type AuditSearch } from '../audit/index/search.ts'
import { isOfSqlite } from '../audit/index/index-file.ts'
import { unreadable, type AuditLogs } from './audit-config.ts'
import { CliError, EXIT, messageOf } from './exit.ts'
import { say } from './output.ts'

const QUIET_MS = 1000
const EVERY_MS = 5000

/** Runs `ask` on the logs, and frees what was opened. Goes on behind damaged segments. @throws {CliError} `usage` when they cannot be read or indexed */
export async function searchLogs<T>(
  { chains, name }: AuditLogs,
  ask: (search: AuditSearch) => Promise<T>,
  { ignoresIndexes = false, onDamaged }: { ignoresIndexes?: boolean; onDamaged: OnDamaged },
): Promise<T> {
  try {
    await using search = createAuditSearch(chains, {
      onIndexing: createReport(() => performance.now()),
      ignoresIndexes,
      onDamaged,
    })
    return await ask(search)
  } catch (cause: unknown) {
    if (!isOfSqlite(cause)) throw unreadable(name, cause)
    throw new CliError(EXIT.usage, `cannot make the index of ${name}: ${messageOf(cause)}`, {
      cause,
      hint: 'free space in its folder and in the temporary folder (TMPDIR), or try again when no other search runs',
    })
  }
}

type Made = { readonly file: string; readonly records: number; readonly bytes: number; readonly ofBytes: number }

/** Silent for a second: most indexes are there, but for the last records. */
function createReport(now: () => number): (made: Made) => void {
  let dueMs: number | undefined
  return ({ file, records, bytes, ofBytes }) => {
    dueMs ??= now() + QUIET_MS
    if (now() < dueMs) return
    dueMs = now() + EVERY_MS
    const percent = ofBytes === 0 ? 100 : Math.floor((bytes / ofBytes) * 100)
    say(`making the index of ${file}: ${records.toLocaleString('en-US')} records, ${percent} %`)
  }
}
