// A connection to NATS with the SVID of this process. The server must have the SPIFFE ID that is expected of it: a host name in
// its certificate proves nothing here.
import { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls'
import { connect, type NatsConnection, type TlsOptions } from '@nats-io/transport-node'
import { trustDomainOf, type SpiffeId } from '../../core/spiffe-id.ts'
import { inOrderForOpenssl } from '../svid/trust-bundle.ts'
import { MAX_PRESENTED } from '../svid/presented-chain.ts'
import { verifyServer } from '../svid/verify.ts'
import type { Credentials } from '../tls/credentials.ts'
import type { NatsTarget } from './nats-settings.ts'

type NatsOptions = {
  readonly target: NatsTarget
  readonly source: { readonly current: () => Pick<Credentials, 'certPem' | 'keyPem' | 'bundles' | 'revocations'> }
  /** Named in NATS' own monitoring. */
  readonly name: string
  /** Where answers arrive; default: `_INBOX`. */
  readonly inboxPrefix?: string
  /** For a command: a lost connection stays lost, and who is refused once is refused. */
  readonly isOnce?: boolean
}

/** A server that does not answer is left for the next one. */
const CONNECT_MS = 1500
/** A server that hangs is found after three of these, and another one is tried. */
const PING_MS = 1000
const MAX_PINGS_OUT = 2
const RECONNECT_MS = 250

/**
 * Connects once; from then on the connection heals itself until it is closed.
 * @throws {Error} when no server can be used now
 */
export function connectNats({
  target,
  source,
  name,
  inboxPrefix = '_INBOX',
  isOnce = false,
}: NatsOptions): Promise<NatsConnection> {
  return connect({
    servers: [...target.servers],
    name,
    inboxPrefix,
    tls: target.isTls ? tlsOptions(target.id, source) : null,
    timeout: CONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: MAX_PINGS_OUT,
    maxReconnectAttempts: isOnce ? 0 : -1,
    reconnect: !isOnce,
    reconnectTimeWait: RECONNECT_MS,
    reconnectJitter: RECONNECT_MS,
    reconnectJitterTLS: RECONNECT_MS,
    // Only the servers of the setting: what a server says of others is not ours to trust.
    ignoreClusterUpdates: true,
    // A server that is configured again may refuse this identity for a moment.
    ignoreAuthErrorAbort: !isOnce,
  })
}

/** Getters: each new connection uses the certificate that is current then. */
function tlsOptions(expected: SpiffeId, source: NatsOptions['source']): TlsOptions {
  const options = {
    get cert(): string {
      return source.current().certPem
    },
    get key(): string {
      return source.current().keyPem
    },
    get ca(): string[] {
      const anchors = source.current().bundles.get(trustDomainOf(expected)) ?? []
      return inOrderForOpenssl(anchors).map(String)
    },
    minVersion: 'TLSv1.3',
    allowPartialTrustChain: true,
    checkServerIdentity: (_host: string, certificate: PeerCertificate): Error | undefined => {
      try {
        const id = verifyServer(chainOf(certificate), source.current(), Date.now())
        return id === expected ? undefined : new Error(`the NATS server is ${id}, not ${expected}`)
      } catch (cause: unknown) {
        return new Error(`the NATS server is refused: ${cause instanceof Error ? cause.message : ''}`, { cause })
      }
    },
  }
  // The client hands these to `tls.connect` as they are; its own type names only some of them.
  return options as unknown as TlsOptions
}

/** What Node found of the server's chain, leaf first. */
function chainOf(leaf: PeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = []
  // The issuer of a root is the root itself.
  for (let next: Partial<DetailedPeerCertificate> | undefined = leaf; next?.raw !== undefined;) {
    if (chain.push(new X509Certificate(next.raw)) > MAX_PRESENTED || next.issuerCertificate === next) break
    next = next.issuerCertificate
  }
  return chain
}
