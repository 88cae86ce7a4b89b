// `crank block` and `crank unblock`: the emergency brake.
import { Command } from '@commander-js/extra-typings'
import { outputOption, policyDirOption } from '../options.ts'

const WHAT =
  'SPIFFE ID, capability (verb:name), or certificate: sha256:<fingerprint>, <issuer key id>:<serial>, or its PEM file'
const WHERE = `
Without CRANK_NATS_URL it changes data/blocked.json of the policy folder. With it, it changes the block list of the mesh too,
as the operator of CRANK_TLS_CERT. In force is what either list blocks.`

/** `crank block` */
export function blockCommand() {
  return new Command('block')
    .description('block an identity, a capability or a certificate: in force within a second')
    .argument('[what]', WHAT)
    .option('--reason <text>', 'why; required')
    .option('--list', 'list what is blocked, by whom and why')
    .addOption(policyDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `${WHERE}\n\nExamples:\n  crank block spiffe://crank.local/worker/zettel --reason INC-12\n  crank block --list`,
    )
    .action(async (what, options) => {
      if (options.list === true) {
        const { listBlocks } = await import('../block/list.ts')
        process.exitCode = await listBlocks(options)
        return
      }
      const { block } = await import('../block/run.ts')
      process.exitCode = await block(what, options)
    })
}

/** `crank unblock` */
export function unblockCommand() {
  return new Command('unblock')
    .description('lift a block; exit 1 if nothing is blocked')
    .argument('<what>', WHAT)
    .requiredOption('--reason <text>', 'why')
    .addOption(policyDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `${WHERE}\n\nExample:\n  crank unblock spiffe://crank.local/worker/zettel --reason "INC-12 is over"`,
    )
    .action(async (what, options) => {
      const { unblock } = await import('../block/run.ts')
      process.exitCode = await unblock(what, options)
    })
}
