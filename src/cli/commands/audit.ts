// `crank audit`: read the audit log, and prove that it is whole.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { auditFileOption, outputOption, stateDirOption } from '../options.ts'

/** `crank audit` */
export function auditCommand(): CommandUnknownOpts {
  return new Command('audit')
    .description('read the audit log, and prove that it is whole')
    .addCommand(tailCommand())
    .addCommand(verifyCommand())
}

function tailCommand(): CommandUnknownOpts {
  return new Command('tail')
    .description('the last records; with -f also those to come')
    .option('-f, --follow', 'stay and print records as they are written')
    .option('-n, --lines <n>', 'how many (default 10; with --since or --trace all of them)')
    .option('--deny', 'only refusals: denials, and callers without an identity')
    .option('--who <text>', 'only callers whose SPIFFE ID contains this')
    .option('--cap <capability>', 'only this capability, such as convert:document_to_pdf')
    .option('--trace <id>', 'only records of this trace, by the id that every answer has in x-trace-id')
    .option('--since <when>', 'only from then on: 90s, 10m, 2h, 7d ago, or an ISO 8601 time')
    .addOption(auditFileOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank audit tail -f --deny\n  crank audit tail --who streaming --since 1h -o json',
    )
    .action(async (options) => {
      const { tailAudit } = await import('../audit-tail.ts')
      process.exitCode = await tailAudit(options)
    })
}

function verifyCommand(): CommandUnknownOpts {
  return new Command('verify')
    .description('check the hash chain; exit 1 at the first bad record, a gap or a torn last line')
    .argument('[files...]', 'audit logs, each of which continues the one before; without: the one of --audit-file')
    .addOption(auditFileOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank audit verify --audit-file .crank/audit.jsonl\n  crank audit verify audit.jsonl.1 audit.jsonl',
    )
    .action(async (files, options) => {
      const { verifyAuditFiles } = await import('../audit-verify.ts')
      process.exitCode = await verifyAuditFiles(files, options)
    })
}
