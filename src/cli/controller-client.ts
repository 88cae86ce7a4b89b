// The mTLS connection of a command to the controller: the client of the workers, with the errors of commands.
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { Credentials, CredentialSource } from '../platform/tls/credentials.ts'
import { refuseWeakening } from '../platform/env.ts'
import { createPeerVerifier } from '../platform/svid/verify.ts'
import { createControllerClient, type ControllerClient } from '../worker/controller-client.ts'
import type { ControllerChange } from '../worker/controllers/endpoint-health.ts'
import type { ClientConfig } from './client-config.ts'
import { openClientSpans } from './client-spans.ts'
import { readIdentity } from './own-identity.ts'
import { say } from './output.ts'
import { createTracedClient } from './traced-client.ts'
import { environment } from './environment.ts'

/**
 * Runs `use` with a client and closes it afterwards. Every request has its own trace, sent as `traceparent`.
 * @param use receives the client and the caller's SPIFFE ID
 * @throws {CliError} `usage` when the certificate cannot be read, `unreachable` when a request got no answer
 */
export async function withControllerClient<T>(
  config: ClientConfig,
  now: () => number,
  use: (client: ControllerClient, caller: SpiffeId) => Promise<T>,
): Promise<T> {
  refuseWeakening(environment(), process.execArgv)
  const credentials = await readIdentity(config.identity, now)
  const spans = await openClientSpans(environment())
  const { spiffeId: caller } = credentials
  const { controllerUrls, controllerId } = config
  if (config.isDefaultCaller === true) say(`calling as ${caller}; choose another caller with --as`)
  const client = createControllerClient({
    controllerUrls,
    controllerId,
    source: fixedSource(credentials),
    verifier: createPeerVerifier({ now }),
    report: sayAvoided,
  })
  try {
    return await use(createTracedClient({ client, spans, urls: controllerUrls, caller }), caller)
  } finally {
    await client.close()
    await spans.close()
  }
}

function sayAvoided(change: ControllerChange): void {
  if (change.change === 'avoided') say(`controller ${change.controller}: ${change.reason}; asking another one`)
}

/** A command ends before a certificate changes. */
export function fixedSource(credentials: Credentials): CredentialSource {
  const nothing = () => () => undefined
  const none = () => undefined
  return { current: () => credentials, onChange: nothing, onFault: nothing, fault: none, close: none }
}
