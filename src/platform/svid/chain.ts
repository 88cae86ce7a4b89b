// Finds an RFC 5280 path from a certificate to an anchor of one trust bundle. Our own
// search, because OpenSSL verifies against all anchors at once: an ID of td1 signed
// by td2's CA would pass (X509-SVID section 5.1, SPIFFE bundles must not be merged).
import type { X509Certificate } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { readCertificate, type CertificateFacts } from './certificate-facts.ts'
import { isWithin } from './name-constraints.ts'
import { mayIssue } from './x509-svid.ts'

/** The anchor at which a path ends, and the time in which all its issuers are valid (Unix milliseconds). */
export type Anchored = {
  readonly anchor: X509Certificate
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** From the issuer of the leaf up; the last one is the anchor. */
  readonly issuers: readonly X509Certificate[]
}

type ChainQuestion = {
  readonly leaf: X509Certificate
  /** Further certificates that the peer sent, in any order. */
  readonly presented: readonly X509Certificate[]
  readonly anchors: readonly X509Certificate[]
  /** `any`: accepts expired issuers, to find out which one has expired. */
  readonly nowMs: number | 'any'
}

/** Finds a path, or returns undefined. Does not check the validity and profile of the leaf. Never throws. */
export type FindChain = (question: ChainQuestion) => Anchored | undefined

/** How many signatures are verified per question: a peer can send certificates that all seem to have issued one another. */
const MAX_SIGNATURES = 24
const ISSUERS_REMEMBERED = 256

/** A finder with a bounded cache of what it read from issuers, by fingerprint. */
export function createChainFinder(): FindChain {
  const known = new LRUCache<string, { facts: CertificateFacts | undefined }>({ max: ISSUERS_REMEMBERED })

  function factsOf(issuer: X509Certificate): CertificateFacts | undefined {
    const remembered = known.get(issuer.fingerprint256)
    if (remembered !== undefined) return remembered.facts
    const facts = tryReadCertificate(issuer)
    known.set(issuer.fingerprint256, { facts })
    return facts
  }

  return (question) => {
    const budget = { signatures: MAX_SIGNATURES }
    return findIssuer({ ...question, factsOf, budget }, question.leaf, [])
  }
}

/** Whether two certificates have the same bytes. */
export function isSameCertificate(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256
}

/** Whether a certificate is signed with its own key. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && isSignedBy(certificate, certificate)
}

type Step = { readonly certificate: X509Certificate; readonly facts: CertificateFacts }
/** The issuers on the path so far, from the leaf up. */
type Path = readonly Step[]
type Walk = ChainQuestion & {
  readonly factsOf: (issuer: X509Certificate) => CertificateFacts | undefined
  readonly budget: { signatures: number }
}

/** Searches depth first. */
function findIssuer(walk: Walk, subject: X509Certificate, below: Path): Anchored | undefined {
  for (const anchor of walk.anchors) {
    const facts = factsIfIssued(walk, { issuer: anchor, subject, below })
    if (facts === undefined) continue
    const path = [...below, { certificate: anchor, facts }]
    if (keepsToLimits(walk, path)) return toAnchored(path)
  }
  for (const candidate of walk.presented) {
    if (below.some(({ certificate }) => isSameCertificate(certificate, candidate))) continue
    const facts = factsIfIssued(walk, { issuer: candidate, subject, below })
    const found = facts && findIssuer(walk, candidate, [...below, { certificate: candidate, facts }])
    if (found !== undefined) return found
  }
  return undefined
}

type Link = { readonly issuer: X509Certificate; readonly subject: X509Certificate; readonly below: Path }

function factsIfIssued(walk: Walk, { issuer, subject, below }: Link): CertificateFacts | undefined {
  if (!subject.checkIssued(issuer) || --walk.budget.signatures < 0 || !isSignedBy(subject, issuer)) return undefined
  const facts = walk.factsOf(issuer)
  if (facts === undefined || !mayIssue(facts) || facts.hasUnknownCritical) return undefined
  const { nowMs } = walk
  if (nowMs !== 'any' && (nowMs < facts.notBeforeMs || nowMs >= facts.notAfterMs)) return undefined
  return isWithinPathLength(facts, below) ? facts : undefined
}

/** A self-issued certificate, which links two keys of one CA, does not count (RFC 5280, 4.2.1.9). */
function isWithinPathLength({ basicConstraints }: CertificateFacts, below: Path): boolean {
  return below.filter(({ facts }) => !facts.selfIssued).length <= (basicConstraints?.pathLength ?? Infinity)
}

/**
 * Whether the names on the path are within the constraints of every issuer on it. For an anchor that is not a root, the
 * constraints of its own issuers in the same bundle apply too, although the path ends at the anchor: an operator who has both
 * in the bundle relies on the limits of both. The validity of those issuers does not matter: an anchor is trusted by itself.
 */
function keepsToLimits(walk: Walk, path: Path): boolean {
  const top = path.at(-1)
  if (top === undefined || !hasPermittedNames(walk, path)) return false
  if (isSelfSigned(top.certificate)) return true
  const above = walk.anchors.filter(
    (issuer) =>
      !path.some(({ certificate }) => isSameCertificate(certificate, issuer)) &&
      top.certificate.checkIssued(issuer) &&
      isSignedBy(top.certificate, issuer),
  )
  return above.length === 0 || above.some((issuer) => keepsToLimitsBelow(walk, path, issuer))
}

function keepsToLimitsBelow(walk: Walk, path: Path, issuer: X509Certificate): boolean {
  const facts = walk.factsOf(issuer)
  if (facts === undefined || !isWithinPathLength(facts, path)) return false
  return keepsToLimits(walk, [...path, { certificate: issuer, facts }])
}

function hasPermittedNames({ leaf }: Walk, path: Path): boolean {
  if (path.every(({ facts }) => facts.nameConstraints === null)) return true
  const leafFacts = tryReadCertificate(leaf)
  if (leafFacts === undefined) return false
  const subjects = [leafFacts, ...path.map(({ facts }) => facts)]
  return path.every(
    ({ facts: { nameConstraints } }, depth) =>
      nameConstraints === null || subjects.slice(0, depth + 1).every(({ names }) => isWithin(nameConstraints, names)),
  )
}

function isSignedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return subject.verify(issuer.publicKey)
  } catch {
    return false // a key type that OpenSSL does not support
  }
}

function tryReadCertificate(certificate: X509Certificate): CertificateFacts | undefined {
  try {
    return readCertificate(certificate.raw)
  } catch {
    return undefined // an unreadable certificate is never accepted as an issuer
  }
}

function toAnchored(path: Path): Anchored | undefined {
  const anchor = path.at(-1)?.certificate
  if (anchor === undefined) return undefined
  return {
    anchor,
    notBeforeMs: Math.max(...path.map(({ facts }) => facts.notBeforeMs)),
    notAfterMs: Math.min(...path.map(({ facts }) => facts.notAfterMs)),
    issuers: path.map(({ certificate }) => certificate),
  }
}
