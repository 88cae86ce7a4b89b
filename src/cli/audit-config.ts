// The location of the audit logs, for commands that read them.
// Their two settings are plain paths: without the schema compiler, which takes longer than the search for a decision.
import { damageOfContent } from '../audit/damage.ts'
import { auditChainsIn, auditDirIn, chainsAt, slotFolder, type AuditChain } from '../audit/places.ts'
import { DEFAULT_STATE_DIR } from '../platform/default-places.ts'
import { ConfigError } from '../platform/setting-fault.ts'
import { replacedNames } from '../platform/setting-names.ts'
import { CliError, EXIT } from './exit.ts'
import { firstSet } from './places.ts'
import type { Format } from './output.ts'

export type AuditOptions = {
  auditFile?: string | undefined
  auditDir?: string | undefined
  stateDir?: string | undefined
  output: Format
}

/** `dir`: the folder of all slots. `name`: for messages. */
export type AuditLogs = {
  readonly dir: string
  readonly chains: readonly AuditChain[]
  readonly name: string
}

/**
 * The audit logs to read: what `--audit` names, else all slots of the audit folder.
 * @throws {CliError} `usage` when there is none, or when the folder cannot be read
 */
export function auditLogsOf(options: Omit<AuditOptions, 'output'>, env: NodeJS.ProcessEnv): AuditLogs {
  const logs = auditLogsIn(options, env)
  if (logs.chains.length > 0) return logs
  throw noAuditLog(logs.name)
}

/** The same, but there may be none; `name` is then that of the first slot. */
export function auditLogsIn(options: Omit<AuditOptions, 'output'>, env: NodeJS.ProcessEnv): AuditLogs {
  const replaced = replacedNames(env)
  if (replaced.length > 0) throw new ConfigError(replaced)
  const stateDir = firstSet(options.stateDir, env['CRANK_STATE_DIR']) ?? DEFAULT_STATE_DIR
  const auditDir = firstSet(options.auditDir, env['CRANK_AUDIT_DIR'])
  const { auditFile } = options
  const dir = auditDir ?? auditDirIn(stateDir)
  const old = auditDir === undefined ? stateDir : undefined
  const chains = auditFile === undefined ? chainsIn(dir, old) : chainsAt(auditFile)
  return {
    dir,
    chains,
    name: chains.length === 0 ? slotFolder(dir, 0) : chains.map(({ place }) => place).join(', '),
  }
}

export function noAuditLog(name: string, cause?: unknown): CliError {
  return new CliError(EXIT.usage, `there is no audit log at ${name}`, { cause, hint: HINT })
}

/** The error for audit logs that cannot be read. Other errors are passed through. */
export function unreadable(name: string, cause: unknown): unknown {
  const { code, path: file = name } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  if (code === 'ENOENT') return noAuditLog(file, cause)
  if (typeof code !== 'string') return cause
  if (damageOfContent(cause) !== undefined) {
    const hint = 'crank audit verify says where; restore the segment from a backup, or move it away to read the rest'
    return new CliError(EXIT.usage, `${file} is damaged: ${code}`, { cause, hint })
  }
  return new CliError(EXIT.usage, `cannot read ${file}: ${code}`, { cause, hint: HINT })
}

const HINT = 'name it: --audit <path>, --audit-dir <dir>, or --state-dir <dir> of the controller'

/** @param old the state folder, which may have the log of an older version */
function chainsIn(auditDir: string, old: string | undefined): readonly AuditChain[] {
  try {
    return auditChainsIn(auditDir, old)
  } catch (cause: unknown) {
    throw unreadable(auditDir, cause)
  }
}
