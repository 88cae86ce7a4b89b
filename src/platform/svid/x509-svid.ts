// X.509-SVID: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md. Checks the content of a leaf; chain.ts
// decides whether to trust it.
import { AppError } from '../../core/errors.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from '../../core/spiffe-id.ts'
import { fingerprintOf, readCertificate, type CertificateFacts } from './certificate-facts.ts'

/** A leaf with a valid ID and profile. `fingerprint`: SHA-256 of the DER, lower-case hex. Times in Unix milliseconds. */
export type Svid = {
  readonly spiffeId: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly fingerprint: string
  readonly issuerKeyId: string | null
}

/**
 * Parses an X.509-SVID leaf and checks everything that does not depend on trust: ID (section 2) and profile (sections 3 and 4).
 * @throws {AppError} spiffe_id_not_found_in_certificate, spiffe_id_invalid, client_certificate_profile_invalid
 */
export function parseSvid(der: Buffer): Svid {
  const facts = readCertificate(der)
  const spiffeId = spiffeIdOf(facts)
  checkLeafProfile(facts)
  const { notBeforeMs, notAfterMs, issuerKeyId } = facts
  return { spiffeId, notBeforeMs, notAfterMs, issuerKeyId, fingerprint: fingerprintOf(der) }
}

/**
 * The one SPIFFE ID of a leaf.
 * @throws {AppError} spiffe_id_not_found_in_certificate (no URI SAN), spiffe_id_invalid (several, or malformed)
 */
export function spiffeIdOf({ uris }: CertificateFacts): SpiffeId {
  const [uri] = uris
  if (uri === undefined) throw new AppError('spiffe_id_not_found_in_certificate')
  // Exactly one, of any scheme: X509-SVID section 2. With two, a mistake of the CA would decide which one we see.
  if (uris.length > 1)
    throw new AppError('spiffe_id_invalid', `the certificate has ${String(uris.length)} URI SANs, not one`)
  try {
    return parseSpiffeId(uri)
  } catch (cause: unknown) {
    const rule = cause instanceof SpiffeIdError ? cause.message : 'malformed'
    throw new AppError('spiffe_id_invalid', `the URI SAN of the certificate is not a SPIFFE ID: ${rule}`, { cause })
  }
}

/** Checks a leaf against section 4. @throws {AppError} client_certificate_profile_invalid naming the broken rule */
export function checkLeafProfile(facts: CertificateFacts): void {
  const { basicConstraints, keyUsage, extendedKeyUsage } = facts
  // An absent basicConstraints means cA=false (the DER default); go-spiffe accepts that too.
  if (basicConstraints?.ca === true) throw profileError('is a CA (X509-SVID 4.1)')
  if (keyUsage === null) throw profileError('has no key usage (X509-SVID 4.3)')
  if (!keyUsage.critical) throw profileError('has a key usage that is not critical (X509-SVID 4.3)')
  if (!keyUsage.digitalSignature) throw profileError('lacks digitalSignature (X509-SVID 4.3)')
  if (keyUsage.keyCertSign) throw profileError('may sign certificates (X509-SVID 4.3)')
  if (keyUsage.cRLSign) throw profileError('may sign revocation lists (X509-SVID 4.3)')
  if (extendedKeyUsage !== null && !(extendedKeyUsage.serverAuth && extendedKeyUsage.clientAuth)) {
    throw profileError('lacks serverAuth or clientAuth in its extended key usage (X509-SVID 4.4)')
  }
  if (facts.subjectEmpty && !facts.sanCritical)
    throw profileError('has neither a subject nor a critical SAN (X509-SVID 3.1)')
}

/** Whether a certificate may issue others: cA and keyCertSign (X509-SVID 4.1, 4.3). */
export function mayIssue({ basicConstraints, keyUsage }: CertificateFacts): boolean {
  return basicConstraints?.ca === true && keyUsage?.keyCertSign === true
}

function profileError(fault: string): AppError {
  return new AppError('client_certificate_profile_invalid', `the certificate ${fault}`)
}
