// `crank exception`: temporary permissions beyond the manifests.
import { Command, Option } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, policyDirOption, stateDirOption } from '../options.ts'

/** `crank exception` */
export function exceptionCommand() {
  return new Command('exception')
    .description('temporary permissions beyond the manifests')
    .addCommand(listCommand())
    .addCommand(grantCommand())
    .addCommand(revokeCommand())
}

function listCommand() {
  return new Command('list')
    .description('list every exception with its expiry and uses; exit 1 if one is malformed')
    .option('--admin-url <url>', 'controller that counts the uses (CRANK_ADMIN_URL, default http://127.0.0.1:9001)')
    .addOption(policyDirOption())
    .addOption(auditFileOption())
    .addOption(auditDirOption())
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
    .description('add an exception to data/exceptions.json, and show the change')
    .addOption(whoOption())
    .addOption(capOption('capability to allow, verb:name; may be repeated'))
    .option('--all', 'allow every capability')
    .requiredOption(
      '--for <duration>',
      'duration, such as 12h or 14d; at most 90 days unless enforcement.json sets another limit',
    )
    .requiredOption('--reason <text>', 'reason for it')
    .requiredOption('--owner <name>', 'person or team responsible for it')
    .option('--replace', 'replace a live exception of the worker')
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
    .description('remove an exception from data/exceptions.json, and show the change')
    .addOption(whoOption())
    .addOption(capOption('remove only this capability; may be repeated'))
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
  return new Option('--dry-run', 'show the change without writing it')
}
