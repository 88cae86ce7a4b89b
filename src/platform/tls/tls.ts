// TLS as this project speaks it: version 1.3 only, both sides with certificates, no resumption, HTTP/1.1 only.
import { constants } from 'node:crypto'
import type { SecureContext, SecureContextOptions, Server, TlsOptions } from 'node:tls'
import type { Credentials } from './credentials.ts'

export { createPinnedConnector } from './pinned-connector.ts'

const HANDSHAKE_TIMEOUT_MS = 5000
const ALPN = ['http/1.1']

/**
 * Options of a TLS or HTTPS server that asks for client certificates. `refuseUnverified`: end the handshake of a peer that
 * OpenSSL refuses; else the server answers it itself, and must verify every connection (peer.ts).
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

/** The part that `server.setSecureContext` takes: all of it, each time, since what is left out goes back to Node's default. */
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
 * Lets OpenSSL end a path at any certificate of `ca`, as a SPIFFE bundle means it, and not at roots only. Sound because `ca`
 * holds nothing but anchors, and because our own walk finds a path of its own. Call it after each change of the context:
 * `tls.Server` of Node 24 does not hand the option `allowPartialTrustChain` on. Where it cannot be set, OpenSSL refuses more.
 */
export function endPathsAtAnchors(server: Server): void {
  const { _sharedCreds: shared } = server as Server & { _sharedCreds?: SecureContext }
  const { setAllowPartialTrustChain } = (shared?.context ?? {}) as { setAllowPartialTrustChain?: () => void }
  setAllowPartialTrustChain?.call(shared?.context)
}
