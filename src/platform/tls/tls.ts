// The TLS settings of this project: version 1.3 only, certificates on both sides, no resumption, HTTP/1.1 only.
import { constants } from 'node:crypto'
import type { SecureContext, SecureContextOptions, Server, TlsOptions } from 'node:tls'
import type { Credentials } from './credentials.ts'

export { createPinnedConnector } from './pinned-connector.ts'

export const HANDSHAKE_TIMEOUT_MS = 5000
const ALPN = ['http/1.1']

/**
 * Options of a TLS or HTTPS server that asks for client certificates. `refuseUnverified`: end the handshake of a peer that
 * OpenSSL refuses; otherwise the server answers that peer, and must verify every connection (svid/verify.ts).
 */
export function serverTlsOptions(
  credentials: Credentials,
  { refuseUnverified }: { refuseUnverified: boolean },
): SecureContextOptions & TlsOptions {
  return {
    ...serverContextOptions(credentials),
    requestCert: true,
    rejectUnauthorized: refuseUnverified,
    ALPNProtocols: ALPN,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  }
}

/** The options for `server.setSecureContext`: always all of them, since a missing one returns to Node's default. */
export function serverContextOptions({ certPem, keyPem, caPem }: Credentials): SecureContextOptions {
  return {
    cert: certPem,
    key: keyPem,
    ca: [...caPem],
    minVersion: 'TLSv1.3',
    // A resumed session outlives the certificate, the CA and its revocation, and skips verification.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/**
 * Lets OpenSSL end a path at any certificate of `ca`, not only at roots, as SPIFFE bundles require. This is safe because `ca`
 * contains only anchors, and because we search our own path too. Call it after each change of the context: `tls.Server` of
 * Node 24 ignores the option `allowPartialTrustChain`. If it cannot be set, OpenSSL refuses more.
 */
export function endPathsAtAnchors(server: Server): void {
  const { _sharedCreds: shared } = server as Server & { _sharedCreds?: SecureContext }
  const { setAllowPartialTrustChain } = (shared?.context ?? {}) as { setAllowPartialTrustChain?: () => void }
  setAllowPartialTrustChain?.call(shared?.context)
}
