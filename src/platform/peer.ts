// Who is on the other end of a TLS connection: X.509-SVID verification, X509-SVID.md section 5. `socket.authorized` is
// necessary, never sufficient (design D8).
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import { AppError, type IdentityErrorCode } from '../core/errors.ts'
import { trustDomainOf, type SpiffeId } from '../core/spiffe-id.ts'
import { readCertificate, type CertificateFacts } from './certificate-facts.ts'
import { createChainFinder, isSameCertificate, type Anchored, type FindChain } from './chain.ts'
import type { Credentials } from './credentials.ts'
import { presentedIssuers, presentedLeaf } from './presented-chain.ts'
import type { TrustBundles } from './trust-bundle.ts'
import { checkLeafProfile, spiffeIdOf } from './x509-svid.ts'

/**
 * A verified peer. The times (Unix milliseconds) bound the leaf and every issuer on its path; `generation` is that of the
 * credentials it was verified under; `fingerprint` is the SHA-256 of the leaf in lower-case hex.
 */
export type Peer = {
  readonly spiffeId: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly generation: number
  readonly fingerprint: string
}

export type PeerVerifier = {
  /**
   * Verifies the peer of a finished handshake, now, under these bundles. Cheap when the certificate is known and its anchor
   * is still trusted. The causes are looked at in one fixed order, trust first: a certificate that nobody vouches for proves
   * nothing about itself. required, untrusted (no anchor at all), SPIFFE ID, untrusted (not an anchor of its own trust
   * domain), validity, profile, and last whatever else OpenSSL refused.
   * @throws {AppError} with an identity code (status 401)
   */
  readonly verify: (socket: TLSSocket, credentials: Credentials) => Peer
}

/** What is remembered of a certificate that was trusted once: reading it costs a millisecond, its chain some signatures. */
type Known = { readonly facts: CertificateFacts; readonly spiffeId: SpiffeId; readonly chain: Anchored }

/** @param opts.cacheSize certificates remembered, trusted ones only: strangers cannot push them out */
export function createPeerVerifier({
  now,
  cacheSize = 16_384,
}: {
  now: () => number
  cacheSize?: number
}): PeerVerifier {
  const cache = new LRUCache<string, Known>({ max: cacheSize })
  const findChain = createChainFinder()
  return {
    verify(socket, credentials) {
      const leaf = presentedLeaf(socket)
      if (leaf === undefined) throw new AppError('client_certificate_required')
      const fingerprint = fingerprintOf(leaf)
      const nowMs = now()
      const remembered = cache.get(fingerprint)
      cache.delete(fingerprint) // comes back below, if it still passes
      const known = isStillAnchored(remembered, credentials.bundles, nowMs)
        ? remembered
        : trust(findChain, leaf, credentials.bundles, nowMs)
      checkValidity(known.facts, nowMs)
      checkLeafProfile(known.facts)
      checkAuthorized(socket)
      cache.set(fingerprint, known)
      return toPeer(known, credentials.generation, fingerprint)
    },
  }
}

/** Also true of the path: the same anchor still stands in the bundle of the ID's trust domain, no issuer has expired. */
function isStillAnchored(known: Known | undefined, bundles: TrustBundles, nowMs: number): known is Known {
  if (known === undefined || nowMs < known.chain.notBeforeMs || nowMs >= known.chain.notAfterMs) return false
  return isAnchorOf(bundles.get(trustDomainOf(known.spiffeId)), known.chain)
}

function trust(findChain: FindChain, leaf: X509Certificate, bundles: TrustBundles, nowMs: number): Known {
  const presented = presentedIssuers(leaf)
  const nameConstraintsChecked = bundles.size === 1
  const find = (anchors: readonly X509Certificate[]): Anchored | undefined =>
    findChain({ leaf, presented, anchors, nowMs, nameConstraintsChecked })
  // Any anchor first, by node:crypto alone: a stranger's certificate is never parsed by us.
  const anyChain = find([...bundles.values()].flat())
  if (anyChain === undefined) throw new AppError('client_certificate_untrusted')
  const facts = readCertificate(leaf.raw)
  const spiffeId = spiffeIdOf(facts)
  const own = bundles.get(trustDomainOf(spiffeId)) ?? []
  const chain = isAnchorOf(own, anyChain) ? anyChain : find(own)
  if (chain === undefined) throw new AppError('client_certificate_untrusted')
  return { facts, spiffeId, chain }
}

function isAnchorOf(anchors: readonly X509Certificate[] | undefined, { anchor }: Anchored): boolean {
  return anchors?.some((each) => isSameCertificate(each, anchor)) === true
}

function checkValidity({ notBeforeMs, notAfterMs }: CertificateFacts, nowMs: number): void {
  if (nowMs < notBeforeMs) throw new AppError('client_certificate_not_yet_valid')
  if (nowMs >= notAfterMs) throw new AppError('client_certificate_expired')
}

const TLS_REFUSALS: Readonly<Record<string, IdentityErrorCode>> = {
  CERT_HAS_EXPIRED: 'client_certificate_expired',
  CERT_NOT_YET_VALID: 'client_certificate_not_yet_valid',
  INVALID_PURPOSE: 'client_certificate_profile_invalid',
}

/** What OpenSSL refused and our own walk did not see: its clock, key strength, unknown critical extensions. */
function checkAuthorized(socket: TLSSocket): void {
  if (socket.authorized) return
  // Typed as an Error, but Node sets the code of the OpenSSL error as a string.
  const refusal = String(socket.authorizationError)
  throw new AppError(TLS_REFUSALS[refusal] ?? 'client_certificate_untrusted', undefined, { cause: new Error(refusal) })
}

function toPeer({ facts, spiffeId, chain }: Known, generation: number, fingerprint: string): Peer {
  return {
    spiffeId,
    notBeforeMs: Math.max(facts.notBeforeMs, chain.notBeforeMs),
    notAfterMs: Math.min(facts.notAfterMs, chain.notAfterMs),
    generation,
    fingerprint,
  }
}

function fingerprintOf(leaf: X509Certificate): string {
  return leaf.fingerprint256.replaceAll(':', '').toLowerCase()
}
