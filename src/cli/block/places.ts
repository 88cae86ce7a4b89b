// Where a block is written, and by whom: the policy folder that is here, the bucket of the mesh with CRANK_NATS_URL.
import { hostname, userInfo } from 'node:os'
import { stat } from 'node:fs/promises'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import { ConfigError } from '../../platform/setting-fault.ts'
import type { NatsTarget } from '../../platform/nats/nats-settings.ts'
import type { Credentials } from '../../platform/tls/credentials.ts'
import { CliError, EXIT } from '../exit.ts'
import { environment } from '../environment.ts'
import { NEEDS_IDENTITY, readNatsSettings } from '../nats-config.ts'
import { ownIdentity, readIdentity } from '../own-identity.ts'
import { policyDirOf } from '../places.ts'

type MeshPlace = { readonly target: NatsTarget; readonly credentials: Credentials }

export type BlockPlaces = {
  /** The policy folder; undefined: there is none here, and a mesh is enough. */
  readonly dir: string | undefined
  /** Undefined: CRANK_NATS_URL is not set. An error: why the mesh cannot be asked. */
  readonly mesh: MeshPlace | CliError | undefined
  /** Who blocks: a SPIFFE ID, or without a certificate the user of this machine. */
  readonly by: string
}

/** @throws {ConfigError} when a setting cannot be used */
export async function blockPlaces(options: { policy?: string | undefined }): Promise<BlockPlaces> {
  const { values, trustDomain, target, faults } = readNatsSettings(environment())
  if (faults.length > 0) throw new ConfigError(faults)
  const credentials = await identityOf(values, trustDomain)
  const by = credentials instanceof CliError ? `${userInfo().username}@${hostname()}` : credentials.spiffeId
  // Without a mesh the certificate only says who blocks: an old one must not keep anybody from it.
  if (target === undefined) return { dir: policyDirOf(options), mesh: undefined, by }
  const dir = await folderHere(options)
  return { dir, mesh: credentials instanceof CliError ? credentials : { target, credentials }, by }
}

/** Or why there is none: a block in the file must not wait for it. */
async function identityOf(
  values: ReturnType<typeof readNatsSettings>['values'],
  trustDomain: TrustDomain,
): Promise<Credentials | CliError> {
  const faults: string[] = []
  const identity = ownIdentity(values, trustDomain, faults)
  const hint = 'the identity of an operator: NATS lets nobody else block'
  if (identity === undefined) return new CliError(EXIT.usage, faults[0] ?? NEEDS_IDENTITY, { hint })
  return readIdentity(identity, Date.now).catch((cause: unknown) => {
    if (cause instanceof CliError) return cause
    throw cause
  })
}

/** One that was named must exist; the default one may be missing where a mesh is. */
async function folderHere(options: { policy?: string | undefined }): Promise<string | undefined> {
  const dir = policyDirOf(options)
  const isNamed = (options.policy ?? environment()['CRANK_POLICY_DIR'] ?? '') !== ''
  const found = await stat(dir).catch(() => undefined)
  return isNamed || found?.isDirectory() === true ? dir : undefined
}
