// `crank controller`: the options correspond to the variables of the controller's configuration; a test compares them.
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { addSettings, flagsOf, type Setting } from '../settings.ts'

export const CONTROLLER_SETTINGS: readonly Setting[] = [
  ['CRANK_PORT', '--port <n>', 'mTLS listener; 0: any free port (default 9000)'],
  ['CRANK_HOST', '--host <address>', 'address of the mTLS listener (default 127.0.0.1)'],
  ['CRANK_ADMIN_PORT', '--admin-port <n>', 'admin listener (default 9001)'],
  ['CRANK_ADMIN_HOST', '--admin-host <address>', 'address of the admin listener (default 127.0.0.1)'],
  ['CRANK_ADMIN_ALLOWED_HOSTS', '--admin-allowed-hosts <list>', 'host names that the admin listener accepts'],
  ['CRANK_TRUST_DOMAIN', '--trust-domain <name>', 'SPIFFE trust domain (default crank.local)'],
  ['CRANK_CONTROLLER_ID', '--controller-id <spiffe-id>', 'own SPIFFE ID (default spiffe://<trust domain>/controller)'],
  ['SPIFFE_ENDPOINT_SOCKET', '--spiffe-endpoint-socket <uri>', 'SPIFFE Workload API, in place of the --tls-* files'],
  ['CRANK_SVID', '--svid <id or hint>', 'which SVID of the Workload API (default the first)'],
  ['CRANK_TLS_CERT', '--tls-cert <file>', 'certificate, PEM'],
  ['CRANK_TLS_KEY', '--tls-key <file>', 'its key, PEM'],
  ['CRANK_TLS_BUNDLE', '--tls-bundle <path>', 'trust bundle: a PEM file, or a folder of <trust-domain>.pem'],
  ['CRANK_POLICY_DIR', '--policy-dir <dir>', 'folder of the policies (default policies)'],
  [
    'CRANK_CANDIDATE_POLICY_DIR',
    '--candidate-policy-dir <dir>',
    'policy folder to compare with; it does not decide calls',
  ],
  [
    'CRANK_POLICY_MAX_STALENESS',
    '--policy-max-staleness <time>',
    'oldest policy that may decide, such as 1h (default: any)',
  ],
  [
    'CRANK_POLICY_STALENESS_ACTION',
    '--policy-staleness-action <how>',
    'warn, degrade or deny when it is older (default warn)',
  ],
  [
    'CRANK_POLICY_BUNDLE_ROLLBACK',
    '--policy-bundle-rollback <how>',
    'refuse or allow a bundle that was already replaced (default refuse)',
  ],
  ['CRANK_DECISION_CACHE', '--decision-cache <how>', 'off, or on to repeat decisions that hold (default off)'],
  ['OPA_URL', '--opa-url <url>', 'OPA sidecar, http://… or unix:///…; unset: embedded engine'],
  ['OPA_TIMEOUT_MS', '--opa-timeout-ms <n>', 'deadline of one decision (default 100)'],
  ['CRANK_STATE_DIR', '--state-dir <dir>', 'state folder (default .crank)'],
  ['CRANK_AUDIT_DIR', '--audit-dir <dir>', 'folder of the audit log (default <state-dir>/audit)'],
  ['CRANK_AUDIT_SYNC', '--audit-sync <how>', 'fsync or write (default fsync)'],
  ['CRANK_AUDIT_SEGMENT_SIZE', '--audit-segment-size <size>', 'size of a segment (default 256MiB)'],
  ['CRANK_AUDIT_SEGMENT_AGE', '--audit-segment-age <age>', 'age of a segment (default 1d)'],
  ['CRANK_AUDIT_SIGNING_KEY', '--audit-signing-key <file>', 'Ed25519 key that signs checkpoints (default: unsigned)'],
  ['CRANK_AUDIT_KEEP', '--audit-keep <amount>', 'how much is kept, such as 400d,200GiB (default all)'],
  ['CRANK_AUDIT_MIN_FREE', '--audit-min-free <part>', 'free part of the disk to keep (default 5%)'],
  ['CRANK_AUDIT_FULL', '--audit-full <how>', 'stop or drop_unshipped with less free (default stop)'],
  ['CRANK_AUDIT_STREAM', '--audit-stream <on|off>', 'ship records to the stream of the mesh (default off)'],
  ['CRANK_NATS_URL', '--nats-url <list>', 'NATS servers that the controllers of a mesh share'],
  ['CRANK_NATS_ID', '--nats-id <spiffe-id>', 'identity of the NATS servers'],
  ['CRANK_NATS_REPLICAS', '--nats-replicas <n>', 'copies of each bucket (default 3)'],
  ['CRANK_CHAIN_KEY', '--chain-key <file>', 'keys of x-crank-chain (default <state-dir>/chain.key)'],
  ['CRANK_WORKER_HOSTS', '--worker-hosts <list>', 'hosts that worker URLs may name'],
  ['TLS_REFUSE_UNVERIFIED', '--tls-refuse-unverified <bool>', 'refuse unverified peers in the handshake'],
  ['HTTPS_ONLY', '--https-only <bool>', 'must be true; plain HTTP is not supported'],
  ['CRANK_BODY_LIMIT_BYTES', '--body-limit-bytes <n>', 'largest JSON body (default 1 MiB)'],
  ['CRANK_MAX_CONNECTIONS', '--max-connections <n>', 'open connections (default 10000)'],
  ['CRANK_PROCESSES', '--processes <n>', 'processes that serve, or auto: one per core (default 1)'],
  ['CRANK_HEARTBEAT_INTERVAL_MS', '--heartbeat-interval-ms <n>', 'how often workers report (default 10000)'],
  ['CRANK_SLO_DIR', '--slo-dir <dir>', 'folder of the SLO files (default slos, if there is one)'],
  ['CRANK_LAME_DUCK_MS', '--lame-duck-ms <n>', 'after SIGTERM: not ready, but still takes calls (default 3000)'],
  ['CRANK_DRAIN_TIMEOUT_MS', '--drain-timeout-ms <n>', 'how long running calls may continue then (default 10000)'],
  ['LOG_LEVEL', '--log-level <level>', 'trace, debug, info, warn, error, fatal or silent'],
]

/** `crank controller` */
export function controllerCommand(): CommandUnknownOpts {
  return addSettings(new Command('controller'), CONTROLLER_SETTINGS)
    .description('run the controller (every option is also a variable)')
    .addHelpText(
      'after',
      '\nExample:\n' +
        '  crank controller --tls-cert .crank/pki/controller.crt --tls-key .crank/pki/controller.key \\\n' +
        '    --tls-bundle .crank/pki/crank.local.pem',
    )
    .action(async (options) => {
      const { runController } = await import('../run-controller.ts')
      await runController(flagsOf(options, CONTROLLER_SETTINGS))
    })
}
