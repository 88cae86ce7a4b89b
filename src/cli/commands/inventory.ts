// `crank workers` and `crank capabilities`: what is live, asked on the mTLS listener like any worker would.
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, clientCommand } from '../options.ts'

/** `crank workers` */
export function workersCommand(): CommandUnknownOpts {
  return clientCommand('workers')
    .description('which workers are registered')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank workers --as streaming')
    .action(async (options) => {
      const { listWorkers } = await import('../inventory.ts')
      process.exitCode = await listWorkers(options)
    })
}

/** `crank capabilities` */
export function capabilitiesCommand(): CommandUnknownOpts {
  return clientCommand('capabilities')
    .description('which capabilities are live, and who provides them')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank capabilities --as streaming -o json')
    .action(async (options) => {
      const { listCapabilities } = await import('../inventory.ts')
      process.exitCode = await listCapabilities(options)
    })
}
