// Starts the link to the store that the controllers of a mesh share. In a controller of several processes the parent has it.
import type { Logger } from '../../platform/logger.ts'
import { connectNats } from '../../platform/nats/connect-nats.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import type { ControllerConfig } from '../config.ts'
import { openStoreLink, type StoreLink } from '../store/store-link.ts'

type StoreGround = {
  readonly config: Pick<ControllerConfig, 'nats' | 'controllerId'>
  readonly credentials: CredentialSource
  readonly log: Logger
  readonly monotonic: () => number
  readonly opened: AsyncDisposableStack
}

/** The link to the shared store; undefined without CRANK_NATS_URL. */
export function startStoreLink({ config, credentials, log, monotonic, opened }: StoreGround): StoreLink | undefined {
  const { nats: target, controllerId: name } = config
  if (target === undefined) return undefined
  const connect = () => connectNats({ target, source: credentials, name })
  const link = openStoreLink({ connect, replicas: target.replicas, monotonic, log })
  // NATS does not look at a certificate again: the connection must not outlive it.
  credentials.onChange(link.renew)
  return opened.adopt(link, (it) => it.close())
}
