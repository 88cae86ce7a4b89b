// `crank spiffe`: what the SPIFFE Workload API of this machine gives.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption } from '../options.ts'

/** `crank spiffe fetch` */
export function spiffeCommand(): CommandUnknownOpts {
  return new Command('spiffe').description('look at the SPIFFE Workload API of this machine').addCommand(
    new Command('fetch')
      .description('print the X.509-SVIDs and trust bundles that this user gets; exit 1 if one of them cannot be used')
      .option('--endpoint <uri>', 'unix:///path or tcp://ip:port (SPIFFE_ENDPOINT_SOCKET)')
      .addOption(outputOption())
      .addHelpText('after', '\nExample:\n  crank spiffe fetch --endpoint unix:///run/spire/agent.sock')
      .action(async (options) => {
        const { fetchSvids } = await import('../spiffe-fetch.ts')
        process.exitCode = await fetchSvids(options)
      }),
  )
}
