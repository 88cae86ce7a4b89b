// `crank shadow`: what shadow mode has shown.
import { Command } from '@commander-js/extra-typings'
import { auditFileOption, outputOption, policyDirOption, stateDirOption } from '../options.ts'

/** `crank shadow` */
export function shadowCommand() {
  return new Command('shadow').description('what shadow mode has shown').addCommand(reportCommand())
}

function reportCommand() {
  return new Command('report')
    .description('per capability: may it be enforced? exit 1 unless all are ready or enforced')
    .option('--since <when>', 'look at calls from then on: 2h, 7d ago, or an ISO 8601 time', '7d')
    .option('--min-calls <n>', 'fewer decided calls than this are not enough to judge by', '20')
    .option('--min-days <n>', 'calls on fewer days (UTC) than this are not enough to judge by', '3')
    .addOption(policyDirOption())
    .addOption(auditFileOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nA would-be denial that the policy of today allows has been fixed and no longer counts.\n\nExamples:\n' +
        '  crank shadow report --since 14d\n  crank shadow report --audit .crank/audit.jsonl --policy policies -o json',
    )
    .action(async (options) => {
      const { reportShadow } = await import('../shadow/report.ts')
      process.exitCode = await reportShadow(options)
    })
}
