// The command line `crank`: its commands, and the exit code of each failure. The code of a command is loaded when it
// runs, so
// that `--help` stays fast.
import { Command } from '@commander-js/extra-typings'
import { auditCommand } from './cli/commands/audit.ts'
import { blockCommand, unblockCommand } from './cli/commands/block.ts'
import { certCommand } from './cli/commands/cert.ts'
import { checkCommand } from './cli/commands/check.ts'
import { controllerCommand } from './cli/commands/controller.ts'
import { exceptionCommand } from './cli/commands/exception.ts'
import { capabilitiesCommand, workersCommand } from './cli/commands/inventory.ts'
import { invokeCommand } from './cli/commands/invoke.ts'
import { policyCommand } from './cli/commands/policy.ts'
import { shadowCommand } from './cli/commands/shadow.ts'
import { sloCommand } from './cli/commands/slo.ts'
import { replayCommand } from './cli/commands/replay.ts'
import { canICommand, explainCommand, whatCanCommand, whoCanCommand } from './cli/commands/policy-ask.ts'
import { manifestCommand } from './cli/commands/manifest.ts'
import { workerCommand } from './cli/commands/worker.ts'
import { endEarly } from './cli/early-end.ts'
import { CliError, EXIT, EXIT_CODES_HELP } from './cli/exit.ts'
import { say } from './cli/output.ts'
import { reportFailure } from './cli/report-failure.ts'
import { oddNames } from './platform/setting-names.ts'
import { VERSION } from './platform/version.ts'
import { environment } from './cli/environment.ts'

const EXAMPLES = `Examples:
  crank cert dev-ca                                  make development certificates under .crank/pki
  crank check                                        what is wrong with this set-up, and how to fix it
  crank invoke stream text_events --as streaming     call a capability as the streaming worker
  crank audit tail -f --deny                         follow the denials
`

/** Runs `crank` with these arguments and sets the exit code of the process. Never rejects. */
export async function main(argv: readonly string[]): Promise<void> {
  // A closed reader (`crank audit tail | head`) is not a fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    endEarly(error.code === 'EPIPE' ? EXIT.ok : EXIT.internal)
  })
  // A fault of stderr does not change the exit code.
  process.stderr.on('error', () => undefined)
  try {
    await createProgram().parseAsync(argv, { from: 'user' })
  } catch (cause: unknown) {
    process.exitCode = reportFailure(cause)
  }
}

/** All commands; nothing is read or run yet. */
export function createProgram(): Command {
  const program = new Command('crank')
    .description('Crank controller: zero-trust capability router')
    .version(VERSION, '-V, --version')
    .addCommand(controllerCommand())
    .addCommand(workerCommand())
    .addCommand(invokeCommand())
    .addCommand(workersCommand())
    .addCommand(capabilitiesCommand())
    .addCommand(checkCommand())
    .addCommand(certCommand())
    .addCommand(auditCommand())
    .addCommand(canICommand())
    .addCommand(explainCommand())
    .addCommand(whoCanCommand())
    .addCommand(whatCanCommand())
    .addCommand(replayCommand())
    .addCommand(shadowCommand())
    .addCommand(sloCommand())
    .addCommand(policyCommand())
    .addCommand(exceptionCommand())
    .addCommand(blockCommand())
    .addCommand(unblockCommand())
    .addCommand(manifestCommand())
    .addHelpText('after', `\n${EXAMPLES}\n${EXIT_CODES_HELP}\n`)
  program.hook('preAction', (_, command) => refuseOddNames(command.name(), environment()))
  prepare(program, 'crank')
  return program
}

/** Every command throws instead of exiting; after a usage error it prints the valid usage. */
function prepare(command: Command, path: string): void {
  const subcommands = command.commands.map((sub) => sub.name())
  const flags = command.options.map((option) => option.long ?? option.flags)
  command
    .exitOverride()
    .configureOutput({ writeErr: sayLines })
    .showHelpAfterError(
      subcommands.length > 0
        ? `commands: ${subcommands.join(', ')} (${path} --help)`
        : `usage: ${path} ${command.usage()}\noptions: ${flags.join(', ')}`,
    )
  for (const sub of command.commands) prepare(sub as Command, `${path} ${sub.name()}`)
}

/** The controller and workers report these with the other faults of their configuration, `check` with its findings. */
function refuseOddNames(command: string, env: NodeJS.ProcessEnv): void {
  if (['controller', 'worker', 'check'].includes(command)) return
  const { faults } = oddNames(env)
  const [first, ...more] = faults
  if (first !== undefined) throw new CliError(EXIT.usage, first, more.length > 0 ? { hint: more.join('; ') } : {})
}

// Commander quotes the arguments, which may contain control characters.
function sayLines(text: string): void {
  for (const line of text.replace(/\n$/, '').split('\n')) say(line)
}
