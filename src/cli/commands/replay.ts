// `crank replay`: compares recorded decisions with those of another policy.
import { Command, Option } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, stateDirOption } from '../options.ts'

/** `crank replay` */
export function replayCommand() {
  return new Command('replay')
    .description('repeat every recorded decision with another policy, and list the changes; exit 1 if there are any')
    .requiredOption('--policy <dir>', 'policy folder to compare with')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .option('--since <when>', 'only decisions since then: 12h or 7d ago, or an ISO 8601 time (default: all)')
    .option('--until <when>', 'only decisions before then')
    .addOption(
      new Option('--fail-on <what>', 'exit 1 for any change, only for changes that allow more, or never')
        .choices(['any', 'allow', 'none'])
        .default('any' as const),
    )
    .option('--verify', 'check the hash chain of the log first')
    .option('--no-memo', 'evaluate every decision, including equal ones')
    .addOption(stateDirOption())
    .addOption(
      new Option('-o, --output <format>', 'output format')
        .choices(['table', 'json', 'markdown'])
        .default('table' as const),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  crank replay --since 7d --policy policies\n  crank replay --audit audit.jsonl --policy policies -o markdown --fail-on allow',
    )
    .action(async (options) => {
      const { replay } = await import('../replay/run.ts')
      process.exitCode = await replay(options)
    })
}
