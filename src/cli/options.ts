// Options that several commands share. Loaded for `--help`, so imports here must be light.
import { Command, Option } from '@commander-js/extra-typings'
import type { Format } from './output.ts'

/**
 * The caller and the URL of the controller. Everything but `as` overrides a variable; `as` names a development
 * certificate.
 */
export type ClientOptions = {
  controllerUrl?: string | undefined
  as?: string | undefined
  cert?: string | undefined
  key?: string | undefined
  bundle?: string | undefined
  stateDir?: string | undefined
}

/** `-o table|json`. */
export function outputOption() {
  const formats = ['table', 'json'] as const satisfies readonly Format[]
  return new Option('-o, --output <format>', 'output format').choices(formats).default('table' as const)
}

/** `--state-dir`, for commands that read the development certificates or the audit log. */
export function stateDirOption() {
  return new Option('--state-dir <dir>', 'state folder (CRANK_STATE_DIR, default .crank)')
}

/** `--audit`, or `--audit-file`. */
export function auditFileOption() {
  return new Option(
    '--audit, --audit-file <path>',
    'a segment of an audit log, compressed or not, or the folder of a slot',
  )
}

export function auditDirOption() {
  return new Option('--audit-dir <dir>', 'folder of the audit logs (CRANK_AUDIT_DIR, default <state-dir>/audit)')
}

/** `--policy`, for commands that read a policy folder. */
export function policyDirOption() {
  return new Option('--policy <dir>', 'policy folder (CRANK_POLICY_DIR, default policies)')
}

/** A command that calls the controller's mTLS listener, with the options for it. */
export function clientCommand(name: string): Command<[], ClientOptions> {
  return new Command(name)
    .option(
      '--controller-url <url>',
      'the controller, or several with commas (CONTROLLER_URL, default https://127.0.0.1:9000)',
    )
    .option('--as <worker>', 'call as this worker, with its development certificate in <state-dir>/pki')
    .option('--cert <file>', 'certificate of the caller (CRANK_TLS_CERT)')
    .option('--key <file>', 'its private key (CRANK_TLS_KEY)')
    .option('--bundle <path>', 'trust bundle, PEM (CRANK_TLS_BUNDLE)')
    .addOption(stateDirOption())
}
