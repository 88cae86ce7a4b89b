// Why a controller or worker could not start, as a sentence. Faults of the configuration come as ConfigError already.
import { usageFailure } from './exit.ts'

/** Refusals with a sentence for the operator: certificates, policy folder, audit file. */
const EXPECTED = new Set([
  'Error',
  'AppError',
  'PolicyFilesError',
  'StalePolicyError',
  'PolicyCompileError',
  'AuditFileError',
])

// Node's own words, for an import.
const NO_PACKAGE = 'Cannot find package '
const NO_PACKAGE_HINT = `its packages are installed by "npm ci" without --workspaces=false, in the image by "docker build --build-arg WORKERS=all"`

/** What to throw instead of `cause`; faults of the program itself are passed through. */
export function startFailure(who: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !EXPECTED.has(cause.name)) return cause
  const hint = cause.message.startsWith(NO_PACKAGE) ? NO_PACKAGE_HINT : 'see: crank check'
  return usageFailure(`${who} cannot start`, cause, hint)
}
