// The location of the audit logs, for commands that read them.
import Type from 'typebox'
import { auditChainsIn, auditDirIn, chainsAt, filesOf, slotFolder, type AuditChain } from '../audit/places.ts'
import { ConfigError, loadConfig } from '../platform/env.ts'
import { replacedNames } from '../platform/setting-names.ts'
import { placeSettings } from '../platform/settings.ts'
import { CliError, EXIT } from './exit.ts'
import type { Format } from './output.ts'

export type AuditOptions = {
  auditFile?: string | undefined
  auditDir?: string | undefined
  stateDir?: string | undefined
  output: Format
}

/** `dir`: the folder of all slots. `files`: the segments of all chains. `name`: for messages. */
export type AuditLogs = {
  readonly dir: string
  readonly chains: readonly AuditChain[]
  readonly files: readonly string[]
  readonly name: string
}

const AuditEnv = Type.Object({
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  CRANK_AUDIT_DIR: placeSettings.CRANK_AUDIT_DIR,
})

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
  const flags = { CRANK_STATE_DIR: options.stateDir, CRANK_AUDIT_DIR: options.auditDir }
  const { CRANK_STATE_DIR, CRANK_AUDIT_DIR } = loadConfig(AuditEnv, { env, flags })
  const { auditFile } = options
  const dir = CRANK_AUDIT_DIR ?? auditDirIn(CRANK_STATE_DIR)
  const old = CRANK_AUDIT_DIR === undefined ? CRANK_STATE_DIR : undefined
  const chains = auditFile === undefined ? chainsIn(dir, old) : chainsAt(auditFile)
  const files = chains.flatMap(filesOf)
  return {
    dir,
    chains,
    files,
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
  if (typeof code === 'string') return new CliError(EXIT.usage, `cannot read ${file}: ${code}`, { cause, hint: HINT })
  return cause
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
