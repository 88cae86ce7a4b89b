// Describes what is wrong with a path: which certificate has expired, or why OpenSSL did not find a path that exists.
import type { X509Certificate } from 'node:crypto'
import { isSelfSigned, type Anchored } from './chain.ts'

/** The certificate of a path that is outside its validity, and whether it has expired or is not valid yet. */
export type OutOfTime = { readonly fault: 'expired' | 'not_yet_valid'; readonly which: string }

/** The first issuer on a path that is not valid now; undefined when all are. */
export function issuerOutOfTime({ issuers }: Anchored, nowMs: number): OutOfTime | undefined {
  for (const issuer of issuers) {
    const which = `the ${isSelfSigned(issuer) ? 'root' : 'intermediate'} ${subjectOf(issuer)}`
    const outOfTime = outOfValidity(which, times(issuer), nowMs)
    if (outOfTime !== undefined) return outOfTime
  }
  return undefined
}

type Validity = { readonly notBeforeMs: number; readonly notAfterMs: number }

/** Undefined if the certificate is valid now. */
export function outOfValidity(which: string, validity: Validity, nowMs: number): OutOfTime | undefined {
  const { notBeforeMs, notAfterMs } = validity
  if (nowMs >= notAfterMs) return { fault: 'expired', which: `${which} ended at ${timeOf(notAfterMs)}` }
  if (nowMs < notBeforeMs) return { fault: 'not_yet_valid', which: `${which} begins at ${timeOf(notBeforeMs)}` }
  return undefined
}

/** Start and end of a certificate's validity. */
export function times({ validFromDate, validToDate }: X509Certificate): Validity {
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() }
}

/** `2026-11-30T10:00:00Z`. */
function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

const MAX_SUBJECT = 100

/** A certificate; its subject may be undefined, although Node's types exclude that. */
type Named = { readonly subject?: string | undefined; readonly serialNumber: string }

/** The subject of a certificate in printable form; its serial number when it has none. */
export function subjectOf({ subject, serialNumber }: Named): string {
  return quoted(subject ?? `serial ${serialNumber}`)
}

/** A name as one printable line in quotes. */
function quoted(name: string): string {
  const line = name.replaceAll('\n', ', ').replaceAll(/[^\x20-\x7e]|"/g, '?')
  return `"${line.slice(0, MAX_SUBJECT)}"`
}

/**
 * Why OpenSSL refused a certificate for which there is a path: OpenSSL follows one issuer per name and never backtracks.
 * Undefined if that is not the reason.
 */
export function missedPath(refusal: string, found: Anchored): string | undefined {
  const { anchor, issuers } = found
  if (refusal === 'CERT_SIGNATURE_FAILURE') {
    return `it chains to its bundle, but OpenSSL tried another CA of the same name: give the CAs named ${subjectOf(issuers[0] ?? anchor)} key identifiers and have the certificate issued again, or keep only one of them in the bundle`
  }
  if (!MISSED.has(refusal)) return undefined
  // A self-signed form of a link is left out: OpenSSL would end at it, and the link has the same key.
  const links = issuers.filter((issuer) => issuer !== anchor && !isSelfSigned(issuer))
  const order = ['the leaf', ...links.map((link) => `${subjectOf(link)} issued by ${quoted(link.issuer)}`)]
  return `it chains to its bundle, but OpenSSL took another path: send ${order.join(', then ')}, and nothing else`
}

const MISSED = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'PERMITTED_VIOLATION',
  'EXCLUDED_VIOLATION',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_CA',
])
