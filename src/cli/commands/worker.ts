// `crank worker <name or file>`: runs a bundled worker, or your own from its file, as a process.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { workerNames } from '../../workers/registry.ts'
import { outputOption } from '../options.ts'
import { addSettings, flagsOf, textOf, type Setting } from '../settings.ts'

export const WORKER_SETTINGS: readonly Setting[] = [
  [
    'CONTROLLER_URL',
    '--controller-url <url>',
    'the controller, or several with commas (default https://127.0.0.1:9000)',
  ],
  ['CRANK_WORKER_PORT', '--port <n>', 'port to listen on; 0: any free port'],
  ['CRANK_WORKER_HOST', '--host <address>', 'address to listen on (default 127.0.0.1)'],
  ['CRANK_WORKER_URL', '--url <url>', 'URL at which the controller calls the worker'],
  ['CRANK_WORKER_INSTANCE', '--instance <name>', 'distinguishes replicas'],
  ['CRANK_STATE_DIR', '--state-dir <folder>', 'folder for persistent data (default .crank)'],
  ['CRANK_TRUST_DOMAIN', '--trust-domain <name>', 'SPIFFE trust domain (default crank.local)'],
  ['CRANK_CONTROLLER_ID', '--controller-id <spiffe-id>', 'the only identity that may call the worker'],
  ['SPIFFE_ENDPOINT_SOCKET', '--spiffe-endpoint-socket <uri>', 'SPIFFE Workload API, in place of the --tls-* files'],
  ['CRANK_SVID', '--svid <id or hint>', 'which SVID of the Workload API (default the first)'],
  ['CRANK_TLS_CERT', '--tls-cert <file>', 'certificate, PEM'],
  ['CRANK_TLS_KEY', '--tls-key <file>', 'its key, PEM'],
  ['CRANK_TLS_BUNDLE', '--tls-bundle <path>', 'trust bundle: a PEM file, or a folder of <trust-domain>.pem'],
  ['LOG_LEVEL', '--log-level <level>', 'trace, debug, info, warn, error, fatal or silent'],
]

const EXAMPLES = `
Examples:
  crank worker hello_world --dev
  crank worker streaming --tls-cert .crank/pki/worker-streaming.crt --tls-key .crank/pki/worker-streaming.key \\
    --tls-bundle .crank/pki/crank.local.pem
  crank worker ./my.ts --dev                          the worker that this file exports
  crank worker new greeting_cards --capability make:greeting_card`

/** `crank worker <name or file>`, `crank worker new <name>` */
export function workerCommand(): CommandUnknownOpts {
  return addSettings(new Command('worker'), WORKER_SETTINGS)
    .argument('<name>', `the worker: a file such as ./my.ts that exports one, or ${workerNames.join(', ')}`)
    .option('--export <name>', 'name of the export, if the file has several workers')
    .option('--dev', 'use its development certificate; create it if it is missing')
    .description('run a bundled worker, or your own from its file (help names the variable of an option)')
    .addHelpText('after', EXAMPLES)
    .action(async (name, { dev, export: wanted, ...options }) => {
      const { runNamedWorker } = await import('../run-worker.ts')
      await runNamedWorker(name, {
        flags: flagsOf(options, WORKER_SETTINGS),
        dev: dev === true,
        wanted: textOf(wanted),
      })
    })
    .addCommand(newCommand())
    .addCommand(drainCommand('drain', 'keep new calls from a worker, also when it registers again; running calls end'))
    .addCommand(drainCommand('undrain', 'let a drained worker get calls again'))
}

function drainCommand(action: 'drain' | 'undrain', description: string): CommandUnknownOpts {
  return new Command(action)
    .argument('<id>', 'worker id, such as worker-pdf: all its instances; or one of them, such as worker-pdf.a')
    .option('--reason <text>', 'why; recorded in the audit log')
    .option('--admin-url <url>', 'admin listener of the controller (CRANK_ADMIN_URL, default http://127.0.0.1:9001)')
    .addOption(outputOption())
    .description(description)
    .addHelpText('after', `\nExample:\n  crank worker ${action} worker-hello-world`)
    .action(async (id, options) => {
      const { drainWorker } = await import('../drain-worker.ts')
      process.exitCode = await drainWorker(id, action, options)
    })
}

function newCommand(): CommandUnknownOpts {
  return new Command('new')
    .argument('<name>', 'name of the worker, such as greeting_cards')
    .description('create a new worker: in a checkout its code, test and manifest; elsewhere a stand-alone project')
    .option('--capability <verb:name>', 'capability that it offers (default run:<name>)')
    .option('--owner <name>', 'in a checkout: owner in its manifest', 'crank')
    .addHelpText('after', '\nExample:\n  crank worker new greeting_cards --capability make:greeting_card')
    .action(async (name, options) => {
      const { newWorker } = await import('../new-worker/run.ts')
      process.exitCode = await newWorker(name, options, Date.now)
    })
}
