// What the issuers of a mesh have revoked: the lists that came with the trust bundles. Ours alone: with a list OpenSSL would
// ask for one of every CA, and refuse the certificates of those that publish none.
import type { X509Certificate } from 'node:crypto'
import { readTbs } from './certificate-der.ts'
import { fingerprintOf } from './certificate-facts.ts'
import { parseCrl, serialOf, type Crl } from './crl.ts'

export type Revocations = {
  /** Each in DER. */
  readonly lists: readonly Buffer[]
  /** The same for the same lists. */
  readonly fingerprint: string
  /**
   * Whether a list of the certificate's issuer has it. Only a list that one of `signers` signed counts. Past its `nextUpdate` a
   * list still counts: what was revoked stays revoked.
   */
  readonly has: (certificate: X509Certificate, signers: readonly X509Certificate[]) => boolean
}

export const NO_REVOCATIONS: Revocations = { lists: [], fingerprint: '', has: () => false }

/** @param lists each in DER. @throws {Error} when one of them cannot be parsed */
export function createRevocations(lists: readonly Buffer[]): Revocations {
  if (lists.length === 0) return NO_REVOCATIONS
  const parsed = lists.map(parseNumbered).map((crl) => ({ crl, signedBy: signatureChecks(crl) }))
  return {
    lists,
    fingerprint: lists.map(fingerprintOf).join(),
    has(certificate, signers) {
      const serial = serialOf(certificate.serialNumber)
      const listed = parsed.filter(({ crl }) => crl.serials.has(serial))
      if (listed.length === 0) return false
      const { issuer } = readTbs(certificate.raw)
      return listed.some(({ crl, signedBy }) => crl.issuer.equals(issuer) && signers.some(signedBy))
    },
  }
}

function parseNumbered(der: Buffer, index: number): Crl {
  try {
    return parseCrl(der)
  } catch (cause: unknown) {
    const fault = cause instanceof Error ? cause.message : 'malformed'
    throw new Error(`revocation list ${index + 1}: ${fault}`, { cause })
  }
}

/** Checks the signature once for each signer: those of a mesh are few. */
function signatureChecks({ isSignedBy }: Crl): (signer: X509Certificate) => boolean {
  const known = new Map<string, boolean>()
  return (signer) => {
    const result = known.get(signer.fingerprint256) ?? isSignedBy(signer)
    known.set(signer.fingerprint256, result)
    return result
  }
}
