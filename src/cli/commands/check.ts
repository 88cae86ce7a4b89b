// `crank check`: finds faults of this set-up, and says how to fix them.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, stateDirOption } from '../options.ts'

/** `crank check` */
export function checkCommand(): CommandUnknownOpts {
  return new Command('check')
    .description('find faults of this set-up and how to fix them; exit 1 if there are any')
    .option('--admin-url <url>', 'admin listener of the controller (default http://127.0.0.1:9001)')
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank check -o json')
    .action(async (options) => {
      const { check } = await import('../check.ts')
      process.exitCode = await check(options)
    })
}
