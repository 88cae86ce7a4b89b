// Says on stderr why a command or a process of the controller failed.
import { CommanderError } from '@commander-js/extra-typings'
import { describeFailure, EXIT, type ExitCode } from './exit.ts'
import { paint, say } from './output.ts'

/** @returns the exit code for the failure */
export function reportFailure(cause: unknown): ExitCode {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.ok : EXIT.usage
  const { exit, text } = describeFailure(cause)
  for (const line of `${paint('red', '×', process.stderr)} ${text}`.split('\n')) say(line)
  return exit
}
