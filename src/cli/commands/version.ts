// `crank version`: this program, and the formats that it writes.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption } from '../options.ts'

/** `crank version` */
export function versionCommand(): CommandUnknownOpts {
  return new Command('version')
    .description(
      'print the version, the commit, and the formats of what outlives a process (docs/operations/upgrade.md)',
    )
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank version -o json')
    .action(async ({ output }) => {
      const { printVersion } = await import('../print-version.ts')
      printVersion(output)
    })
}
