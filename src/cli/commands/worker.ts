// `crank worker <name>`: one of the bundled workers, as a process of its own.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { addSettings, flagsOf, type Setting } from '../settings.ts'

export const WORKER_SETTINGS: readonly Setting[] = [
  ['CONTROLLER_URL', '--controller-url <url>', 'the controller (default https://127.0.0.1:9000)'],
  ['CRANK_WORKER_PORT', '--port <n>', 'port to listen on; 0: any free port'],
  ['CRANK_WORKER_HOST', '--host <address>', 'address to listen on (default 127.0.0.1)'],
  ['CRANK_WORKER_URL', '--url <url>', 'address that the controller is to call'],
  ['CRANK_WORKER_INSTANCE', '--instance <name>', 'tells replicas apart'],
  ['CRANK_TRUST_DOMAIN', '--trust-domain <name>', 'SPIFFE trust domain (default crank.local)'],
  ['CRANK_CONTROLLER_ID', '--controller-id <spiffe-id>', 'the only identity that is let in'],
  ['CRANK_TLS_CERT', '--tls-cert <file>', 'certificate, PEM'],
  ['CRANK_TLS_KEY', '--tls-key <file>', 'its key, PEM'],
  ['CRANK_TLS_BUNDLE', '--tls-bundle <path>', 'trust bundle: a PEM file, or a folder of <trust-domain>.pem'],
  ['LOG_LEVEL', '--log-level <level>', 'trace, debug, info, warn, error, fatal or silent'],
]

/** `crank worker <name>` */
export function workerCommand(): CommandUnknownOpts {
  return addSettings(new Command('worker'), WORKER_SETTINGS)
    .argument('<name>', 'which worker: hello_world, streaming')
    .description('run one of the bundled workers (every option is also a variable)')
    .addHelpText('after', '\nExample:\n  CRANK_TLS_CERT=… CRANK_TLS_KEY=… CRANK_TLS_BUNDLE=… crank worker hello_world')
    .action(async (name, options) => {
      const { runNamedWorker } = await import('../run-worker.ts')
      await runNamedWorker(name, flagsOf(options, WORKER_SETTINGS))
    })
}
