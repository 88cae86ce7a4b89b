// `crank workers` and `crank capabilities`: live entries, queried on the mTLS listener as a worker does.
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, clientCommand } from '../options.ts'

/** `crank workers` */
export function workersCommand(): CommandUnknownOpts {
  return clientCommand('workers')
    .description('list the registered workers')
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
    .description('list the live capabilities and their providers')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank capabilities --as streaming -o json')
    .action(async (options) => {
      const { listCapabilities } = await import('../inventory.ts')
      process.exitCode = await listCapabilities(options)
    })
}
