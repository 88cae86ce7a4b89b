// On the path of every call. Verifies the peer of a TLS connection: X.509-SVID, section 5 of X509-SVID.md.
// `socket.authorized` is necessary, never sufficient (decision 0035). The checks in order; trust comes first, because the
// content of a certificate proves nothing until a path leads to an anchor.
//
//   1. the peer presented a certificate              client_certificate_required        presented-chain.ts
//   2. a path leads to an anchor of any bundle       client_certificate_untrusted       chain.ts, name-constraints.ts
//   3. its DER can be read in one way only           client_certificate_profile_invalid certificate-facts.ts, strict-der.ts
//   4. it has one URI SAN                            spiffe_id_not_found_in_certificate x509-svid.ts, san.ts
//   5. that URI is a SPIFFE ID                       spiffe_id_invalid                  x509-svid.ts
//   6. a path leads to an anchor of that ID's bundle client_certificate_untrusted       chain.ts, trust-bundle.ts
//      with issuers that are valid now               client_certificate_expired, client_certificate_not_yet_valid
//   7. the leaf is valid now                         the same two                       below
//   8. the leaf has the profile of an SVID           client_certificate_profile_invalid x509-svid.ts
//   9. no issuer on its path has revoked it          client_certificate_revoked         revocations.ts, crl.ts
//  10. OpenSSL found no other fault                  depends on OpenSSL's code          chain-words.ts
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import { AppError, ERRORS, type IdentityErrorCode } from '../../core/errors.ts'
import { trustDomainOf, type SpiffeId } from '../../core/spiffe-id.ts'
import { readCertificate, type CertificateFacts } from './certificate-facts.ts'
import { createChainFinder, isSameCertificate, isSelfSigned, type Anchored, type FindChain } from './chain.ts'
import { issuerOutOfTime, missedPath, outOfValidity, subjectOf, type OutOfTime } from './chain-words.ts'
import type { Credentials } from '../tls/credentials.ts'
import { presentedIssuers, presentedLeaf } from './presented-chain.ts'
import { NO_REVOCATIONS, type Revocations } from './revocations.ts'
import type { TrustBundles } from './trust-bundle.ts'
import { checkLeafProfile, spiffeIdOf } from './x509-svid.ts'

/**
 * A verified peer. Between the two times (Unix milliseconds) the leaf and every issuer on its path are valid. `generation`:
 * of the credentials used to verify it. `fingerprint`: SHA-256 of the leaf in lower-case hex. `issuerAndSerial`:
 * `<issuer key id>:<serial number>` of the leaf in the same form, null if it does not name the key of its issuer.
 */
export type Peer = {
  readonly spiffeId: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly generation: number
  readonly fingerprint: string
  readonly issuerAndSerial: string | null
}

export type PeerVerifier = {
  /**
   * Verifies the peer of a finished handshake at the current time and against these bundles. Cheap when the certificate is
   * known and its anchor is still trusted.
   * @throws {AppError} with an identity code (status 401)
   */
  readonly verify: (socket: TLSSocket, credentials: Credentials) => Peer
}

/**
 * Cached facts of a certificate that was trusted once: reading it costs a millisecond, its chain some signatures. `bundle`:
 * the anchors at that time, set only when more anchors matter than the one at which the path ends. `clearedBy`: the lists in
 * which neither it nor an issuer on its path was.
 */
type Known = {
  readonly facts: CertificateFacts
  readonly spiffeId: SpiffeId
  readonly issuerAndSerial: string | null
  readonly chain: Pick<Anchored, 'anchor' | 'notBeforeMs' | 'notAfterMs'>
  readonly bundle: string | undefined
  readonly clearedBy: Revocations
}

/** @param opts.cacheSize how many certificates are cached; only trusted ones, so that strangers cannot push them out */
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
      const { bundles, revocations } = credentials
      const question = { findChain, leaf, bundles, nowMs: now() }
      const remembered = cache.get(fingerprint)
      cache.delete(fingerprint) // added again below if all checks still pass
      const known = isStillAnchored(remembered, question) ? remembered : trust(question)
      checkValidity(known.facts, question.nowMs)
      checkLeafProfile(known.facts)
      if (known.clearedBy !== revocations) checkRevocation(question, known, revocations)
      checkAuthorized(socket, question)
      cache.set(fingerprint, known.clearedBy === revocations ? known : { ...known, clearedBy: revocations })
      return toPeer(known, credentials.generation, fingerprint)
    },
  }
}

/**
 * The SPIFFE ID of a server whose chain, leaf first, OpenSSL has found in order. For few connections: nothing is kept.
 * @throws {AppError} with an identity code (status 401)
 */
export function verifyServer(
  [leaf, ...issuers]: readonly X509Certificate[],
  { bundles, revocations }: Pick<Credentials, 'bundles' | 'revocations'>,
  nowMs: number,
): SpiffeId {
  if (leaf === undefined) throw new AppError('client_certificate_required')
  const question = { findChain: createChainFinder(), leaf, issuers, bundles, nowMs }
  const known = trust(question)
  checkValidity(known.facts, nowMs)
  checkLeafProfile(known.facts)
  checkRevocation(question, known, revocations)
  return known.spiffeId
}

type Question = {
  readonly findChain: FindChain
  readonly leaf: X509Certificate
  /** Left out: those that Node keeps with the leaf. */
  readonly issuers?: readonly X509Certificate[]
  readonly bundles: TrustBundles
  readonly nowMs: number
}
type Anchors = readonly X509Certificate[]

/** Whether the cached path still holds: the bundle of the ID's trust domain still has the anchor, and no issuer has expired. */
function isStillAnchored(known: Known | undefined, { bundles, nowMs }: Question): known is Known {
  if (known === undefined || nowMs < known.chain.notBeforeMs || nowMs >= known.chain.notAfterMs) return false
  const own = bundles.get(trustDomainOf(known.spiffeId)) ?? []
  return isAnchorOf(own, known.chain) && (known.bundle === undefined || known.bundle === contentOf(own))
}

function trust(question: Question): Known {
  const { leaf, bundles } = question
  // First against all anchors, with node:crypto only: our parser never reads a stranger's certificate.
  const all = [...bundles.values()].flat()
  const anyChain = find(question, all)
  if (anyChain === undefined && find(question, all, 'any') === undefined) throw untrusted()
  const facts = readCertificate(leaf.raw)
  const spiffeId = spiffeIdOf(facts)
  const own = bundles.get(trustDomainOf(spiffeId)) ?? []
  // Only the anchors of its own trust domain count, so with several bundles the path is searched again.
  const found = bundles.size === 1 ? anyChain : find(question, own)
  if (found === undefined) throw whyNotTrusted(question, own)
  const { anchor, notBeforeMs, notAfterMs } = found
  const bundle = isSelfSigned(anchor) ? undefined : contentOf(own)
  const { issuerKeyId } = facts
  const issuerAndSerial = issuerKeyId === null ? null : `${issuerKeyId}:${leaf.serialNumber.toLowerCase()}`
  return {
    facts,
    spiffeId,
    issuerAndSerial,
    chain: { anchor, notBeforeMs, notAfterMs },
    bundle,
    clearedBy: NO_REVOCATIONS,
  }
}

/** The path is searched again: the cache holds no issuers, and lists change seldom. */
function checkRevocation(question: Question, { spiffeId }: Known, revocations: Revocations): void {
  if (revocations.lists.length === 0) return
  const own = question.bundles.get(trustDomainOf(spiffeId)) ?? []
  const { issuers = [] } = find(question, own) ?? {}
  // An anchor is trusted by itself; its successor of the same name may have signed the list.
  const signers = [...issuers, ...own]
  const revoked = [question.leaf, ...issuers.slice(0, -1)].find((each) => revocations.has(each, signers))
  if (revoked === undefined) return
  const which = revoked === question.leaf ? 'the leaf' : `the intermediate ${subjectOf(revoked)}`
  throw new AppError('client_certificate_revoked', `${which} is on a revocation list of its issuer`)
}

function find(
  { findChain, leaf, issuers, nowMs }: Question,
  anchors: Anchors,
  atMs: number | 'any' = nowMs,
): Anchored | undefined {
  return findChain({ leaf, presented: issuers ?? presentedIssuers(leaf), anchors, nowMs: atMs })
}

/** There is no valid path now: either an issuer on a path is outside its validity, or there is no path at all. */
function whyNotTrusted(question: Question, own: Anchors): AppError {
  const path = find(question, own, 'any')
  const outOfTime = path && issuerOutOfTime(path, question.nowMs)
  return outOfTime === undefined ? untrusted() : notValidNow(outOfTime)
}

function untrusted(): AppError {
  return new AppError('client_certificate_untrusted')
}

function isAnchorOf(anchors: Anchors, { anchor }: Pick<Anchored, 'anchor'>): boolean {
  return anchors.some((each) => isSameCertificate(each, anchor))
}

function contentOf(anchors: Anchors): string {
  return anchors.map(({ fingerprint256 }) => fingerprint256).join()
}

function checkValidity(facts: CertificateFacts, nowMs: number): void {
  const outOfTime = outOfValidity('the leaf', facts, nowMs)
  if (outOfTime !== undefined) throw notValidNow(outOfTime)
}

function notValidNow({ fault, which }: OutOfTime): AppError {
  const code = fault === 'expired' ? 'client_certificate_expired' : 'client_certificate_not_yet_valid'
  return new AppError(code, `${ERRORS[code].title}: ${which}`)
}

const TLS_REFUSALS: Readonly<Record<string, IdentityErrorCode>> = {
  CERT_HAS_EXPIRED: 'client_certificate_expired',
  CERT_NOT_YET_VALID: 'client_certificate_not_yet_valid',
  INVALID_PURPOSE: 'client_certificate_profile_invalid',
}

/** Faults that OpenSSL found and our own search did not: clock, path, key strength, unknown critical extensions. */
function checkAuthorized(socket: TLSSocket, question: Question): void {
  if (socket.authorized) return
  // Typed as an Error, but Node sets the code of the OpenSSL error as a string.
  const refusal = String(socket.authorizationError)
  const found = find(question, [...question.bundles.values()].flat())
  const missed = found && missedPath(refusal, found)
  const code = TLS_REFUSALS[refusal] ?? 'client_certificate_untrusted'
  const reason = missed === undefined ? undefined : `the certificate is refused: ${missed}`
  throw new AppError(code, reason, { cause: new Error(refusal) })
}

function toPeer({ facts, spiffeId, issuerAndSerial, chain }: Known, generation: number, fingerprint: string): Peer {
  return {
    spiffeId,
    notBeforeMs: Math.max(facts.notBeforeMs, chain.notBeforeMs),
    notAfterMs: Math.min(facts.notAfterMs, chain.notAfterMs),
    generation,
    fingerprint,
    issuerAndSerial,
  }
}

function fingerprintOf(leaf: X509Certificate): string {
  return leaf.fingerprint256.replaceAll(':', '').toLowerCase()
}
