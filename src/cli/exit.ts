// The exit codes of `crank`, and the error that carries one.
import { printable } from '../core/printable.ts'

export const EXIT = { ok: 0, negative: 1, usage: 2, unreachable: 3, incomplete: 4, internal: 5 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Listed in `crank --help`. */
export const EXIT_CODES_HELP = `Exit codes:
  0  success
  1  negative answer: denied, refused, or a check failed
  2  wrong usage or configuration
  3  cannot reach the controller, NATS, or the Workload API
  4  incomplete: a part of the audit log cannot be read
  5  internal error`

/** Ends the command with `exit`; `message` is a sentence for the user, `hint` the next step. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exit: ExitCode
  readonly hint: string | undefined
  /** Shown between the two, one per line. */
  readonly details: readonly string[]

  constructor(
    exit: ExitCode,
    message: string,
    options?: ErrorOptions & { hint?: string | undefined; details?: readonly string[] },
  ) {
    super(message, options)
    this.exit = exit
    this.hint = options?.hint
    this.details = options?.details ?? []
  }
}

/**
 * An `usage` error for a value that cannot be used: `what` it is, then why; each fault of a policy folder on its own
 * line.
 */
export function usageFailure(what: string, cause: unknown, hint?: string): CliError {
  const [first = '', ...more] = faultLines(cause)
  if (more.length === 0) return new CliError(EXIT.usage, `${what}: ${first}`, { cause, hint })
  return new CliError(EXIT.usage, `${what}:`, { cause, hint, details: [first, ...more] })
}

/** The message by lines: the error of a policy folder has one per fault. */
export function faultLines(cause: unknown): string[] {
  const isFolders = cause instanceof Error && cause.name === 'PolicyFilesError'
  return isFolders ? cause.message.split('\n') : [messageOf(cause)]
}

/** The text for stderr and the exit code for any error of a command. Text from outside is escaped. */
export function describeFailure(cause: unknown): { exit: ExitCode; text: string } {
  if (cause instanceof CliError) {
    const more = [...cause.details, ...(cause.hint === undefined ? [] : [cause.hint])]
    return { exit: cause.exit, text: [cause.message, ...more].map(printable).join('\n  ') }
  }
  // Checked by name: loading platform/env.ts for the class would load the schema compiler for every command.
  if (cause instanceof Error && cause.name === 'ConfigError') return { exit: EXIT.usage, text: cause.message }
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  return { exit: EXIT.internal, text: `internal error: ${text}` }
}

/**
 * The message of any thrown value; for connection errors to several addresses (an AggregateError without a message),
 * the first.
 */
export function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return messageOf(cause.errors[0])
  return cause instanceof Error ? cause.message : String(cause)
}
