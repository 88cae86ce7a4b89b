// `crank audit`: reads, searches, verifies and exports the audit log.
import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings'
import type { ExportFormat } from '../../audit/export/formats.ts'
import { auditDirOption, auditFileOption, outputOption, stateDirOption } from '../options.ts'

/** `crank audit` */
export function auditCommand(): CommandUnknownOpts {
  return new Command('audit')
    .description('read, search and export the audit log, prove that it is whole, and begin new segments')
    .addCommand(tailCommand())
    .addCommand(searchCommand())
    .addCommand(getCommand())
    .addCommand(verifyCommand())
    .addCommand(rotateCommand())
    .addCommand(keyCommand())
    .addCommand(exportCommand())
}

function tailCommand(): CommandUnknownOpts {
  return new Command('tail')
    .description('print the last records; with -f also new ones')
    .option('-f, --follow', 'keep running and print new records')
    .option('-n, --lines <n>', 'number of records (default 10; with --since or --trace all)')
    .option('--deny', 'only refusals: denials, refused requests, and callers without an identity')
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

function searchCommand(): CommandUnknownOpts {
  return new Command('search')
    .description('find calls and other events, the newest first, in logs of any size; exit 1 if nothing matches')
    .option('--decision <ruling|id>', 'allow, deny, would_deny, error or unevaluated; or a decision id')
    .option('--trace <id>', 'all records of this trace; every answer has its id in x-trace-id')
    .option('--who <text>', 'only callers whose SPIFFE ID contains this')
    .option('--cap <capability>', 'only this capability, such as convert:document_to_pdf')
    .option('--outcome <outcome>', 'only calls that ended so: completed, timeout, worker_failed, unknown, …')
    .option('--worker <id>', 'only calls that this worker got, and what the log says about it')
    .option('--status <status>', 'only allowed calls with this answer: 503, or 5xx; for refusals see --decision')
    .option('--text <text>', 'only what has this in a reason, an error or an exception; in any case')
    .option('--since <when>', 'only since then: 90s, 10m, 2h or 7d ago, or an ISO 8601 time')
    .option('--until <when>', 'only before then')
    .option('--limit <n>', 'number of calls and events', '50')
    .addOption(
      new Option('--order <order>', 'which come first')
        .choices(['newest', 'oldest'] as const)
        .default('newest' as const),
    )
    .option('--after <cursor>', 'the next page: the cursor that the page before printed')
    .option('--no-index', 'read the segments themselves: slow, for a proof that does not rest on an index')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nFilters are combined. The records of a call belong together: --decision allow --outcome timeout finds the call.' +
        '\n\nExamples:\n  crank audit search --decision deny --who streaming --since 7d' +
        '\n  crank audit search --outcome timeout --worker worker-streaming -o json',
    )
    .action(async (options) => {
      const { searchAudit } = await import('../audit-search.ts')
      process.exitCode = await searchAudit(options)
    })
}

function getCommand(): CommandUnknownOpts {
  return new Command('get')
    .argument('<id>', 'decision id, or trace id for all its calls')
    .description(
      'print all that the log knows about a call: decision, attempts, outcome, worker; exit 1 if it has none',
    )
    .option('--trace-url <url>', 'print a link to the trace, such as http://127.0.0.1:16686/trace/{trace_id}')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank audit get 019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e44')
    .action(async (id, options) => {
      const { getAudit } = await import('../audit-get.ts')
      process.exitCode = await getAudit(id, options)
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
        '  crank audit verify --checkpoint kept/checkpoint --public-key audit.pub\n' +
        '  crank audit verify .crank/audit/0/1.jsonl',
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
    .description('write the records of all slots, or of all controllers of a mesh, by time, for other tools')
    .addOption(
      new Option(
        '--from <source>',
        'the files, or the stream of the mesh (CRANK_NATS_URL, CRANK_TLS_*), which is checked',
      )
        .choices(['disk', 'nats'] as const)
        .default('disk' as const),
    )
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
        '\n  crank audit export --format csv --since 2026-11-01 --until 2026-12-01 --pseudonymise pseudonyms.key --out november.csv' +
        '\n  crank audit export --from nats --since 7d > mesh.jsonl',
    )
    .action(async (options) => {
      const { exportAudit } = await import('../audit-export/run.ts')
      process.exitCode = await exportAudit(options)
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
