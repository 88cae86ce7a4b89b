// RFC 5280 path from a certificate to an anchor of one trust bundle. Our own walk, because OpenSSL verifies against all
// anchors at once: a td1 name signed by td2's CA would pass (X509-SVID section 5.1, SPIFFE bundles must not be merged).
import type { X509Certificate } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { readCertificate, type CertificateFacts } from './certificate-facts.ts'
import { mayIssue } from './x509-svid.ts'

/** The anchor a path ended at, and the time in which all its issuers are valid (Unix milliseconds). */
export type Anchored = { readonly anchor: X509Certificate; readonly notBeforeMs: number; readonly notAfterMs: number }

export type ChainQuestion = {
  readonly leaf: X509Certificate
  /** Certificates the peer sent along, in any order. */
  readonly presented: readonly X509Certificate[]
  readonly anchors: readonly X509Certificate[]
  readonly nowMs: number
  /**
   * Follow issuers with name constraints. The walk does not evaluate them; OpenSSL does, on a path of its choice. That is the
   * same trust only while all anchors are of one trust domain.
   */
  readonly nameConstraintsChecked: boolean
}

/** Finds a path, or undefined. The leaf's own validity and profile are not looked at. Never throws. */
export type FindChain = (question: ChainQuestion) => Anchored | undefined

/** Signatures verified for one question: a peer can send certificates that all seem to have issued one another. */
const MAX_SIGNATURES = 24
const ISSUERS_REMEMBERED = 256

/** A finder that remembers what it read from issuers (by fingerprint, bounded). */
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

/** Whether two certificates are the same bytes. */
export function isSameCertificate(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256
}

type Walk = ChainQuestion & {
  readonly factsOf: (issuer: X509Certificate) => CertificateFacts | undefined
  readonly budget: { signatures: number }
}

/** Depth first; `below` are the intermediates already on the path, from the leaf up. */
function findIssuer(walk: Walk, subject: X509Certificate, below: readonly X509Certificate[]): Anchored | undefined {
  for (const anchor of walk.anchors) {
    const facts = factsIfIssued(walk, anchor, subject, below.length)
    if (facts !== undefined) return { anchor, notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs }
  }
  for (const candidate of walk.presented) {
    if (below.some((used) => isSameCertificate(used, candidate))) continue
    const facts = factsIfIssued(walk, candidate, subject, below.length)
    const rest = facts && findIssuer(walk, candidate, [...below, candidate])
    if (rest !== undefined) return narrowed(rest, facts)
  }
  return undefined
}

function factsIfIssued(
  { budget, factsOf, nowMs, nameConstraintsChecked }: Walk,
  issuer: X509Certificate,
  subject: X509Certificate,
  intermediatesBelow: number,
): CertificateFacts | undefined {
  if (!subject.checkIssued(issuer) || --budget.signatures < 0 || !isSignedBy(subject, issuer)) return undefined
  const facts = factsOf(issuer)
  if (facts === undefined || !mayIssue(facts)) return undefined
  if (nowMs < facts.notBeforeMs || nowMs >= facts.notAfterMs) return undefined
  if (intermediatesBelow > (facts.basicConstraints?.pathLength ?? Infinity)) return undefined
  return facts.nameConstrained && !nameConstraintsChecked ? undefined : facts
}

function isSignedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return subject.verify(issuer.publicKey)
  } catch {
    return false // a key of a kind that OpenSSL does not know
  }
}

function tryReadCertificate(issuer: X509Certificate): CertificateFacts | undefined {
  try {
    return readCertificate(issuer.raw)
  } catch {
    return undefined // unreadable issuers vouch for nobody
  }
}

function narrowed(path: Anchored, facts: CertificateFacts | undefined): Anchored {
  if (facts === undefined) return path
  const { anchor, notBeforeMs, notAfterMs } = path
  return {
    anchor,
    notBeforeMs: Math.max(notBeforeMs, facts.notBeforeMs),
    notAfterMs: Math.min(notAfterMs, facts.notAfterMs),
  }
}
