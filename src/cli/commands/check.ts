// `crank check`: what is wrong with this set-up, and how to fix it.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, stateDirOption } from '../options.ts'

/** `crank check` */
export function checkCommand(): CommandUnknownOpts {
  return new Command('check')
    .description('what is wrong with this set-up and how to fix it; exit 1 if anything is')
    .option('--admin-url <url>', 'admin listener of the controller (default http://127.0.0.1:9001)')
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank check -o json')
    .action(async (options) => {
      const { check } = await import('../check.ts')
      process.exitCode = await check(options)
    })
}
