// Why a controller or worker could not start, as a sentence. Configuration faults are already ConfigError.
import { usageFailure } from './exit.ts'

/** Errors with a sentence for the operator: certificates, policy folder, audit file, a process that was killed. */
const EXPECTED = new Set([
  'Error',
  'AppError',
  'PolicyFilesError',
  'StalePolicyError',
  'PolicyCompileError',
  'AuditFileError',
  'ChildStartError',
])

// The text of Node for an import.
const NO_PACKAGE = 'Cannot find package '
const NO_PACKAGE_HINT = `install its packages: "npm ci" without --workspaces=false, or for the image "docker build --build-arg WORKERS=all"`

/** The error to throw instead of `thrown`; faults of the program itself are passed through. */
export function startFailure(who: string, thrown: unknown): unknown {
  const cause = firstOf(thrown)
  if (!(cause instanceof Error) || !EXPECTED.has(cause.name)) return cause
  const hint = cause.message.startsWith(NO_PACKAGE) ? NO_PACKAGE_HINT : 'see: crank check'
  return usageFailure(`${who} cannot start`, cause, hint)
}

/** What ended the start: a part that then fails to close comes with that error in its `suppressed`. */
function firstOf(thrown: unknown): unknown {
  return thrown instanceof SuppressedError ? firstOf(thrown.suppressed) : thrown
}
