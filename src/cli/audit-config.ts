// The location of the audit logs, for commands that read them.
import Type from 'typebox'
import { auditFileOf, auditPlacesIn, type AuditPlace } from '../audit/places.ts'
import { loadConfig } from '../platform/env.ts'
import { placeSettings } from '../platform/settings.ts'
import { CliError, EXIT } from './exit.ts'
import type { Format } from './output.ts'

export type AuditOptions = { auditFile?: string | undefined; stateDir?: string | undefined; output: Format }

/** `places`: at least one. `files`: theirs. `name`: for messages. */
export type AuditLogs = {
  readonly places: readonly AuditPlace[]
  readonly files: readonly string[]
  readonly name: string
}

const AuditEnv = Type.Object({
  CRANK_STATE_DIR: placeSettings.CRANK_STATE_DIR,
  CRANK_AUDIT_FILE: placeSettings.CRANK_AUDIT_FILE,
})

/**
 * The audit logs to read: the file that the option or else the variable names, else all slots of the state folder. A folder
 * without any gives the place of slot 0. @throws {CliError} `usage` when the folder cannot be read
 */
export function auditLogsOf(options: Omit<AuditOptions, 'output'>, env: NodeJS.ProcessEnv): AuditLogs {
  const flags = { CRANK_STATE_DIR: options.stateDir, CRANK_AUDIT_FILE: options.auditFile }
  const { CRANK_STATE_DIR, CRANK_AUDIT_FILE } = loadConfig(AuditEnv, { env, flags })
  const places = CRANK_AUDIT_FILE === undefined ? placesIn(CRANK_STATE_DIR) : [{ slot: null, file: CRANK_AUDIT_FILE }]
  const files = places.map(({ file }) => file)
  return { places, files, name: files.join(', ') }
}

/** The error for audit logs that cannot be read. Other errors are passed through. */
export function unreadable(name: string, cause: unknown): unknown {
  const { code, path: file = name } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  const hint = 'name it: --audit-file <file>, or --state-dir <dir> of the controller'
  if (code === 'ENOENT') return new CliError(EXIT.usage, `there is no audit log at ${file}`, { cause, hint })
  if (typeof code === 'string') return new CliError(EXIT.usage, `cannot read ${file}: ${code}`, { cause, hint })
  return cause
}

function placesIn(stateDir: string): readonly AuditPlace[] {
  try {
    const places = auditPlacesIn(stateDir)
    return places.length > 0 ? places : [{ slot: 0, file: auditFileOf(stateDir, 0) }]
  } catch (cause: unknown) {
    throw unreadable(stateDir, cause)
  }
}
