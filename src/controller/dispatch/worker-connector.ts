// Opens connections to workers: resolves and checks the address for each one, and connects only to the registered identity.
import type { buildConnector } from 'undici'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import { createHostLookup, type HostLookupOptions } from '../../platform/host-lookup.ts'
import type { HostRules } from '../../platform/host-rules.ts'
import type { PeerVerifier } from '../../platform/svid/verify.ts'
import { createPinnedConnector } from '../../platform/tls/tls.ts'
import { createWorkerAddresses } from './worker-address.ts'

type WorkerConnectorDeps = HostLookupOptions & {
  readonly source: CredentialSource
  readonly verifier: PeerVerifier
  /** The operator's rule (CRANK_WORKER_HOSTS). */
  readonly rules: HostRules
}

/** `timeoutMs`: for lookup, TCP and TLS together; default: 5 s. */
export type WorkerConnectors = (expected: SpiffeId, timeoutMs?: number) => buildConnector.connector

export function createWorkerConnectors(deps: WorkerConnectorDeps): WorkerConnectors {
  const { source, verifier, rules } = deps
  const addresses = createWorkerAddresses({ lookup: createHostLookup(deps), rules })
  return (expected, timeoutMs) => createPinnedConnector({ source, verifier, expected, addresses, timeoutMs })
}
