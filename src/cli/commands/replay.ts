// `crank replay`: would another policy have decided otherwise?
import { Command, Option } from '@commander-js/extra-typings'
import { auditFileOption, stateDirOption } from '../options.ts'

/** `crank replay` */
export function replayCommand() {
  return new Command('replay')
    .description(
      'decide every recorded decision again with another policy, and list what changes; exit 1 if anything does',
    )
    .requiredOption('--policy <dir>', 'the folder of the policy to try')
    .addOption(auditFileOption())
    .option('--since <when>', 'only decisions from then on: 12h, 7d ago, or an ISO 8601 time (default: all)')
    .option('--until <when>', 'only decisions before then')
    .addOption(
      new Option('--fail-on <what>', 'exit 1 for any change, only where more is let in, or never')
        .choices(['any', 'allow', 'none'])
        .default('any' as const),
    )
    .option('--verify', 'check the hash chain of the log first')
    .option('--no-memo', 'evaluate every decision, equal ones too')
    .addOption(stateDirOption())
    .addOption(
      new Option('-o, --output <format>', 'how to print')
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
