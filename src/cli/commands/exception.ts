// `crank exception`: who may do more than the manifests say, and until when.
import { Command, Option } from '@commander-js/extra-typings'
import { auditFileOption, outputOption, policyDirOption, stateDirOption } from '../options.ts'

/** `crank exception` */
export function exceptionCommand() {
  return new Command('exception')
    .description('exceptions from the manifests, each with an end')
    .addCommand(listCommand())
    .addCommand(grantCommand())
    .addCommand(revokeCommand())
}

function listCommand() {
  return new Command('list')
    .description('every exception with its end and its use; exit 1 if one is malformed')
    .option('--admin-url <url>', 'controller that counts the uses (CRANK_ADMIN_URL, default http://127.0.0.1:9001)')
    .addOption(policyDirOption())
    .addOption(auditFileOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank exception list')
    .action(async (options) => {
      const { listExceptions } = await import('../exception/list.ts')
      process.exitCode = await listExceptions(options)
    })
}

function grantCommand() {
  return new Command('grant')
    .description('write an exception into data/exceptions.json, and show what changed')
    .addOption(whoOption())
    .addOption(capOption('what is allowed, verb:name; may be repeated'))
    .option('--all', 'everything is allowed')
    .requiredOption('--for <duration>', 'how long: 12h, 14d; at most 90 days, unless enforcement.json says otherwise')
    .requiredOption('--reason <text>', 'why it is needed')
    .requiredOption('--owner <name>', 'who ends it')
    .option('--replace', 'also when the worker has a live exception: this takes its place')
    .addOption(dryRunOption())
    .addOption(policyDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExample:\n  crank exception grant --who streaming --cap store:zettel --for 14d --reason "until ZET-7" --owner team-a',
    )
    .action(async (options) => {
      const { grantException } = await import('../exception/grant.ts')
      process.exitCode = await grantException(options)
    })
}

function revokeCommand() {
  return new Command('revoke')
    .description('take an exception out of data/exceptions.json, and show what changed')
    .addOption(whoOption())
    .addOption(capOption('only this capability of it; may be repeated'))
    .addOption(dryRunOption())
    .addOption(policyDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank exception revoke --who streaming')
    .action(async (options) => {
      const { revokeException } = await import('../exception/revoke.ts')
      process.exitCode = await revokeException(options)
    })
}

function whoOption() {
  return new Option('--who <id>', 'SPIFFE ID, or the name of a worker').makeOptionMandatory()
}

function capOption(help: string) {
  const collect = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value]
  return new Option('--cap <capability>', help).argParser(collect)
}

function dryRunOption() {
  return new Option('--dry-run', 'only show what would change')
}
