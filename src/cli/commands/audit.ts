// `crank audit`: reads the audit log, verifies its chain, and exports it.
import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings'
import type { ExportFormat } from '../../audit/export/formats.ts'
import { auditDirOption, auditFileOption, outputOption, stateDirOption } from '../options.ts'

/** `crank audit` */
export function auditCommand(): CommandUnknownOpts {
  return new Command('audit')
    .description('read the audit log, verify its hash chain, and export it')
    .addCommand(tailCommand())
    .addCommand(verifyCommand())
    .addCommand(exportCommand())
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
      '\nExamples:\n  crank audit verify --state-dir .crank\n  crank audit verify .crank/audit/0/1.jsonl.1 .crank/audit/0/1.jsonl',
    )
    .action(async (files, options) => {
      const { verifyAuditFiles } = await import('../audit-verify.ts')
      process.exitCode = await verifyAuditFiles(files, options)
    })
}

function exportCommand(): CommandUnknownOpts {
  // As in src/audit/export/formats.ts, which --help shall not load.
  const formats = ['jsonl', 'ecs', 'ocsf', 'csv'] as const satisfies readonly ExportFormat[]
  return new Command('export')
    .description('write the records of all slots by time, for other tools')
    .addOption(
      new Option('--format <format>', 'jsonl (unchanged), ecs (Elastic), ocsf or csv')
        .choices(formats)
        .default('jsonl' as const),
    )
    .option('--since <when>', 'only records since then: 90s, 10m, 2h or 7d ago, or an ISO 8601 time')
    .option('--until <when>', 'only records before then')
    .option('--pseudonymise <keyfile>', 'replace identities by pseudonyms made with this key, and remove free text')
    .option('--out <file>', 'write this file (0600) instead of standard output; it appears once it is whole')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank audit export --format ecs --since 1d > day.ndjson' +
        '\n  crank audit export --format csv --since 2026-11-01 --until 2026-12-01 --pseudonymise pseudonyms.key --out november.csv',
    )
    .action(async (options) => {
      const { exportAudit } = await import('../audit-export/run.ts')
      process.exitCode = await exportAudit(options)
    })
}
