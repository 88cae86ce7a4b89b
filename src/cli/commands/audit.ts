// `crank audit`: reads the audit log, and verifies its chain.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, stateDirOption } from '../options.ts'

/** `crank audit` */
export function auditCommand(): CommandUnknownOpts {
  return new Command('audit')
    .description('read the audit log, verify its hash chain, and begin new segments')
    .addCommand(tailCommand())
    .addCommand(verifyCommand())
    .addCommand(rotateCommand())
}

function tailCommand(): CommandUnknownOpts {
  return new Command('tail')
    .description('print the last records; with -f also new ones')
    .option('-f, --follow', 'keep running and print new records')
    .option('-n, --lines <n>', 'number of records (default 10; with --since or --trace all)')
    .option('--deny', 'only refusals: denials, and callers without an identity')
    .option('--who <text>', 'only callers whose SPIFFE ID contains this')
    .option('--cap <capability>', 'only this capability, such as convert:document_to_pdf')
    .option('--trace <id>', 'only records of this trace; every answer has its id in x-trace-id')
    .option('--since <when>', 'only records since then: 90s, 10m, 2h or 7d ago, or an ISO 8601 time')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
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
    .description('check the hash chain; exit 1 at the first invalid record, gap or torn last line')
    .argument(
      '[files...]',
      'audit logs, each the continuation of the previous one (default: --audit-file, or each slot by itself)',
    )
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank audit verify --state-dir .crank\n  crank audit verify .crank/audit/0/1.jsonl',
    )
    .action(async (files, options) => {
      const { verifyAuditFiles } = await import('../audit-verify.ts')
      process.exitCode = await verifyAuditFiles(files, options)
    })
}

function rotateCommand(): CommandUnknownOpts {
  return new Command('rotate')
    .description('begin a new segment in every process of the controller')
    .option('--admin-url <url>', 'admin listener of the controller (CRANK_ADMIN_URL, default http://127.0.0.1:9001)')
    .addOption(outputOption())
    .addHelpText('after', '\nExamples:\n  crank audit rotate')
    .action(async (options) => {
      const { rotateAudit } = await import('../audit-rotate.ts')
      process.exitCode = await rotateAudit(options)
    })
}
