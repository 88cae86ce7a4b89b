// The credentials of a process, from the one source that is set: files, or a SPIFFE Workload API.
import type { Logger } from './logger.ts'
import type { IdentitySource } from './settings.ts'
import { watchWorkloadApi } from './spiffe/workload-source.ts'
import { watchCredentials, type CredentialSource } from './tls/credentials.ts'

/**
 * Opens the source and keeps following it. Files must be good at once; the first SVID of a Workload API is waited for.
 * @throws {Error} as `watchCredentials` and `watchWorkloadApi` do
 */
export async function openCredentials(
  identity: IdentitySource,
  options: { readonly now: () => number; readonly log: Logger },
): Promise<CredentialSource> {
  switch (identity.from) {
    case 'files':
      return await watchCredentials(identity, options)
    case 'workload_api':
      return await watchWorkloadApi(identity.endpoint, { ...identity, ...options, keepsIdentity: true })
    default:
      return identity satisfies never
  }
}
