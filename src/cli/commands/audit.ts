// `crank audit`: reads the audit log, and verifies its chain.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, stateDirOption } from '../options.ts'

/** `crank audit` */
export function auditCommand(): CommandUnknownOpts {
  return new Command('audit')
    .description('read the audit log, prove that it is whole, and begin new segments')
    .addCommand(tailCommand())
    .addCommand(verifyCommand())
    .addCommand(rotateCommand())
    .addCommand(keyCommand())
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

function keyCommand(): CommandUnknownOpts {
  return new Command('key')
    .description('make the key that signs checkpoints (CRANK_AUDIT_SIGNING_KEY), and print its verifier key')
    .requiredOption('--out <file>', 'the new file, readable by its owner only')
    .option('--controller-id <id>', 'SPIFFE ID of the controller (CRANK_CONTROLLER_ID)')
    .addHelpText('after', '\nExample:\n  crank audit key --out audit.key > audit.pub')
    .action(async (options) => {
      const { makeAuditKey } = await import('../audit-key.ts')
      process.exitCode = await makeAuditKey(options)
    })
}

function verifyCommand(): CommandUnknownOpts {
  return new Command('verify')
    .description('check the hash chain, and compare it with checkpoints; exit 1 for any fault')
    .argument(
      '[files...]',
      'audit logs, each the continuation of the previous one (default: --audit-file, or each slot by itself)',
    )
    .option(
      '--checkpoint <file|url>',
      'checkpoints kept elsewhere, or /health of the controller; may be repeated',
      collect,
    )
    .option(
      '--public-key <file|key>',
      'who must have signed them: PEM, or <name>+<key id>+<key>; may be repeated',
      collect,
    )
    .option('--since <when|number>', 'begin with the segment of this time or record; the ones before are not read')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .option('--json', 'the same as -o json')
    .addHelpText(
      'after',
      '\nExamples:\n  crank audit verify --state-dir .crank\n' +
        '  crank audit verify --checkpoint /media/copies/checkpoint --public-key audit.pub\n' +
        '  crank audit verify .crank/audit/0/1.jsonl',
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

function collect(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value]
}
