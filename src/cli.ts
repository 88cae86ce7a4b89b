// The command line `crank`: its commands, and the exit code of each failure. What a command needs is loaded when it is asked
// for: its options with its name, its code when it runs.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
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

/** In the order of `--help`. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandUnknownOpts>>> = {
  controller: async () => (await import('./cli/commands/controller.ts')).controllerCommand(),
  worker: async () => (await import('./cli/commands/worker.ts')).workerCommand(),
  invoke: async () => (await import('./cli/commands/invoke.ts')).invokeCommand(),
  workers: async () => (await import('./cli/commands/inventory.ts')).workersCommand(),
  capabilities: async () => (await import('./cli/commands/inventory.ts')).capabilitiesCommand(),
  check: async () => (await import('./cli/commands/check.ts')).checkCommand(),
  cert: async () => (await import('./cli/commands/cert.ts')).certCommand(),
  spiffe: async () => (await import('./cli/commands/spiffe.ts')).spiffeCommand(),
  audit: async () => (await import('./cli/commands/audit.ts')).auditCommand(),
  'can-i': async () => (await import('./cli/commands/policy-ask.ts')).canICommand(),
  explain: async () => (await import('./cli/commands/policy-ask.ts')).explainCommand(),
  'who-can': async () => (await import('./cli/commands/policy-ask.ts')).whoCanCommand(),
  'what-can': async () => (await import('./cli/commands/policy-ask.ts')).whatCanCommand(),
  replay: async () => (await import('./cli/commands/replay.ts')).replayCommand(),
  shadow: async () => (await import('./cli/commands/shadow.ts')).shadowCommand(),
  slo: async () => (await import('./cli/commands/slo.ts')).sloCommand(),
  policy: async () => (await import('./cli/commands/policy.ts')).policyCommand(),
  exception: async () => (await import('./cli/commands/exception.ts')).exceptionCommand(),
  block: async () => (await import('./cli/commands/block.ts')).blockCommand(),
  unblock: async () => (await import('./cli/commands/block.ts')).unblockCommand(),
  manifest: async () => (await import('./cli/commands/manifest.ts')).manifestCommand(),
  version: async () => (await import('./cli/commands/version.ts')).versionCommand(),
}

/** Runs `crank` with these arguments and sets the exit code of the process. Never rejects. */
export async function main(argv: readonly string[]): Promise<void> {
  // A closed reader (`crank audit tail | head`) is not a fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    endEarly(error.code === 'EPIPE' ? EXIT.ok : EXIT.internal)
  })
  // A fault of stderr does not change the exit code.
  process.stderr.on('error', () => undefined)
  try {
    await (await createProgram(argv[0])).parseAsync(argv, { from: 'user' })
  } catch (cause: unknown) {
    process.exitCode = reportFailure(cause)
  }
}

/** The command of this name, or all of them when none has it; nothing is read or run yet. */
export async function createProgram(name = ''): Promise<Command> {
  const wanted = Object.entries(COMMANDS).filter(([other]) => other === name || !Object.hasOwn(COMMANDS, name))
  const program = new Command('crank')
    .description('Crank controller: zero-trust capability router')
    .version(VERSION, '-V, --version')
    .addHelpText('after', `\n${EXAMPLES}\n${EXIT_CODES_HELP}\n`)
  for (const [, load] of wanted) program.addCommand(await load())
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
