// `crank shadow`: results of shadow mode.
import { Command } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, policyDirOption, stateDirOption } from '../options.ts'

/** `crank shadow` */
export function shadowCommand() {
  return new Command('shadow').description('results of shadow mode').addCommand(reportCommand())
}

function reportCommand() {
  return new Command('report')
    .description('show for each capability whether it can be enforced; exit 1 unless all are ready or enforced')
    .option('--since <when>', 'count calls since then: 2h or 7d ago, or an ISO 8601 time', '7d')
    .option('--min-calls <n>', 'minimum number of decided calls', '20')
    .option('--min-days <n>', 'minimum number of days (UTC) with calls', '3')
    .addOption(policyDirOption())
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nA would-be denial that the current policy allows no longer counts.\n\nExamples:\n' +
        '  crank shadow report --since 14d\n  crank shadow report --audit .crank/audit/0/1.jsonl --policy policies -o json',
    )
    .action(async (options) => {
      const { reportShadow } = await import('../shadow/report.ts')
      process.exitCode = await reportShadow(options)
    })
}
