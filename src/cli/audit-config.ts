// The location of the audit log, for commands that read it.
import { join } from 'node:path'
import Type from 'typebox'
import { loadConfig } from '../platform/env.ts'
import { placeSettings } from '../platform/settings.ts'
import { CliError, EXIT } from './exit.ts'
import type { Format } from './output.ts'

export type AuditOptions = { auditFile?: string | undefined; stateDir?: string | undefined; output: Format }

const AuditEnv = Type.Object({
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  CRANK_AUDIT_FILE: placeSettings.CRANK_AUDIT_FILE,
})

/** Path of the audit log: the option, else the variable, else inside the state folder. */
export function auditFileOf(options: Omit<AuditOptions, 'output'>, env: NodeJS.ProcessEnv): string {
  const flags = { CRANK_STATE_DIR: options.stateDir, CRANK_AUDIT_FILE: options.auditFile }
  const { CRANK_STATE_DIR, CRANK_AUDIT_FILE } = loadConfig(AuditEnv, { env, flags })
  return CRANK_AUDIT_FILE ?? join(CRANK_STATE_DIR, 'audit.jsonl')
}

/** The error for an audit log that cannot be read. Other errors are passed through. */
export function unreadable(file: string, cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const hint = 'name it: --audit-file <file>, or --state-dir <dir> of the controller'
  if (code === 'ENOENT') return new CliError(EXIT.usage, `there is no audit log at ${file}`, { cause, hint })
  if (typeof code === 'string') return new CliError(EXIT.usage, `cannot read ${file}: ${code}`, { cause, hint })
  return cause
}
