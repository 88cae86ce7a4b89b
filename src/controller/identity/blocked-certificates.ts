// Single certificates on the controller's own block list: `blocked.certificates`, by fingerprint, or by issuer and serial number.
import { AppError } from '../../core/errors.ts'
import type { CredentialSource } from '../../platform/tls/credentials.ts'
import type { Peer, PeerVerifier } from '../../platform/svid/verify.ts'

/** The reason code for a peer whose certificate is on the block list; its identity may be used with another one. */
export const CERTIFICATE_BLOCKED = 'certificate_blocked'

/** Whether a list has the certificate of the peer. Costs nothing while the list is empty. */
export function hasCertificate(list: ReadonlySet<string>, { fingerprint, issuerAndSerial }: Certificate): boolean {
  if (list.size === 0) return false
  return list.has(`sha256:${fingerprint}`) || (issuerAndSerial !== null && list.has(issuerAndSerial))
}

type Certificate = Pick<Peer, 'fingerprint' | 'issuerAndSerial'>

type BlockedCertificates = {
  readonly isBlocked: (peer: Certificate) => boolean
  /** Calls `listener` after each change of the list; the returned function unsubscribes. */
  readonly onChange: (listener: () => void) => () => void
}

type Outgoing = { readonly source: CredentialSource; readonly verifier: PeerVerifier }

/** For connections to workers: a blocked certificate does not verify, and open connections are checked after each change. */
export function refusingBlocked(
  { source, verifier }: Outgoing,
  { isBlocked, onChange }: BlockedCertificates,
): Outgoing {
  return {
    verifier: {
      verify(socket, credentials) {
        const peer = verifier.verify(socket, credentials)
        if (!isBlocked(peer)) return peer
        throw new AppError('client_certificate_untrusted', `its certificate sha256:${peer.fingerprint} is blocked`)
      },
    },
    source: {
      ...source,
      onChange(listener) {
        const ends = [source.onChange(listener), onChange(() => listener(source.current(), source.current()))]
        return () => ends.forEach((end) => end())
      },
    },
  }
}
