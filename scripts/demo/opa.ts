// The OPA sidecar of the demo: the same arguments as in the compose file, with its folders and addresses mapped to this
// machine.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { findTool } from '../tools/native-tools.ts'
import { DemoError } from './errors.ts'
import type { Command } from './processes.ts'

export type OpaPlaces = {
  readonly root: string
  readonly socketDir: string
  /** The address that receives its spans; undefined: it exports none. */
  readonly otlpAddress: string | undefined
}

const COMPOSE_FILE = 'docker-compose.policy.yml'

/**
 * The command that runs OPA on a unix socket in `socketDir`, and the OPA_URL for it.
 * @throws {DemoError} when OPA is not to be had
 */
export async function opaCommand({
  root,
  socketDir,
  otlpAddress,
}: OpaPlaces): Promise<Command & { readonly url: string }> {
  const file = await findTool('opa').catch((cause: unknown) => {
    throw new DemoError(cause instanceof Error ? cause.message : String(cause), { cause })
  })
  const url = `unix://${join(socketDir, 'opa.sock')}`
  const diagnosticUrl = `unix://${join(socketDir, 'opa-diagnostic.sock')}`
  const compose = await readFile(join(root, COMPOSE_FILE), 'utf8')
  return {
    name: 'opa',
    file,
    url,
    args: [
      ...opaArguments(compose, { policyDir: join(root, 'policies'), url, diagnosticUrl }),
      ...tracing(root, otlpAddress),
    ],
  }
}

/** As in docker-compose.observability.yml. */
function tracing(root: string, otlpAddress: string | undefined): string[] {
  if (otlpAddress === undefined) return []
  return [`--config-file=${join(root, 'observability/opa.yaml')}`, `--set=distributed_tracing.address=${otlpAddress}`]
}

/** The sidecar's command in the compose file, adapted to this machine. */
export function opaArguments(
  compose: string,
  { policyDir, url, diagnosticUrl }: { policyDir: string; url: string; diagnosticUrl: string },
): string[] {
  const { services } = parse(compose) as { services: { opa: { command: string[] } } }
  return services.opa.command.map((argument) => {
    if (argument.startsWith('--addr=')) return `--addr=${url}`
    if (argument.startsWith('--diagnostic-addr=')) return `--diagnostic-addr=${diagnosticUrl}`
    return argument.replace(/(^|:)\/policies(?=\/|$)/, `$1${policyDir}`)
  })
}
