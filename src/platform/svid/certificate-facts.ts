// Reads from a certificate's DER the fields that the SPIFFE profile restricts: node:crypto does not expose key usage bits or
// criticality. Costs about 1 ms: once per certificate, never per request.
import 'reflect-metadata' // @peculiar/x509 needs it to be there first
import { createHash } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { AppError } from '../../core/errors.ts'
import { readTbs } from './certificate-der.ts'
import { bufferOf } from './der.ts'
import { parseNameConstraints, type NameConstraints, type SubjectNames } from './name-constraints.ts'
import { generalNames, urisAmong } from './san.ts'
import { checkDer } from './strict-der.ts'

/** The fields of a certificate that the SPIFFE profile restricts. `null`: the extension is absent. */
export type CertificateFacts = {
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** URI SANs, one character for each byte. */
  readonly uris: readonly string[]
  readonly sanCritical: boolean
  readonly subjectEmpty: boolean
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | null
  readonly keyUsage: {
    readonly critical: boolean
    readonly digitalSignature: boolean
    readonly keyCertSign: boolean
    readonly cRLSign: boolean
  } | null
  readonly extendedKeyUsage: { readonly serverAuth: boolean; readonly clientAuth: boolean } | null
  readonly nameConstraints: NameConstraints | null
  readonly names: SubjectNames
  /** Subject and issuer are the same name: a root, or a link between two keys of one CA. */
  readonly selfIssued: boolean
  /** Authority key identifier, lower-case hex. */
  readonly issuerKeyId: string | null
  /** It has a critical extension that this code does not evaluate. */
  readonly hasUnknownCritical: boolean
}

/** SHA-256 of a DER, lower-case hex. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}

/**
 * Reads the fields and checks only the syntax.
 * @throws {AppError} client_certificate_profile_invalid when the DER is invalid, the certificate cannot be parsed, or an
 * extension is duplicate
 */
export function readCertificate(der: Buffer): CertificateFacts {
  try {
    checkDer(der)
  } catch (cause: unknown) {
    const fault = cause instanceof Error ? cause.message : 'malformed'
    throw new AppError('client_certificate_profile_invalid', `the DER of the certificate is invalid: ${fault}`, {
      cause,
    })
  }
  try {
    return readFacts(new ReadableCertificate(new Uint8Array(der)))
  } catch (cause: unknown) {
    throw new AppError('client_certificate_profile_invalid', 'the certificate cannot be parsed', { cause })
  }
}

const OID = {
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  nameConstraints: '2.5.29.30',
} as const
/** Not among those above: it must not be critical (RFC 5280, 4.2.1.1). */
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35'

/** Extensions that may be critical: those above, and others that restrict nothing we rely on (policies, distribution points). */
const KNOWN = new Set<string>([...Object.values(OID), '2.5.29.31', '2.5.29.32', '2.5.29.33', '2.5.29.36', '2.5.29.54'])

type RawExtension = { readonly critical: boolean; readonly value: ArrayBuffer; readonly raw: ArrayBuffer }

/**
 * Gives access to the raw extensions. A subclass, because the public getter parses every SAN name and throws for kinds of
 * names that X509-SVID section 2 allows.
 */
class ReadableCertificate extends x509.X509Certificate {
  rawExtensions(): ReadonlyMap<string, RawExtension> {
    const extensions = new Map<string, RawExtension>()
    const listed = this.asn.tbsCertificate.extensions
    if (listed === undefined) return extensions
    for (const { extnID, critical, extnValue } of listed) {
      if (extensions.has(extnID)) throw new Error(`duplicate extension ${extnID}`)
      const { rawData, value } = new x509.Extension(extnID, critical, extnValue.buffer)
      extensions.set(extnID, { critical, value, raw: rawData })
    }
    return extensions
  }
}

function readFacts(certificate: ReadableCertificate): CertificateFacts {
  const extensions = certificate.rawExtensions()
  const san = extensions.get(OID.subjectAltName)
  const names = san === undefined ? [] : generalNames(new Uint8Array(san.value))
  const constraints = extensions.get(OID.nameConstraints)
  const { issuer, subject } = readTbs(bufferOf(new Uint8Array(certificate.rawData)))
  return {
    notBeforeMs: certificate.notBefore.getTime(),
    notAfterMs: certificate.notAfter.getTime(),
    uris: urisAmong(names),
    sanCritical: san?.critical === true,
    subjectEmpty: certificate.subject === '',
    basicConstraints: readConstraints(extensions.get(OID.basicConstraints)),
    keyUsage: readKeyUsage(extensions.get(OID.keyUsage)),
    extendedKeyUsage: readExtendedKeyUsage(extensions.get(OID.extendedKeyUsage)),
    nameConstraints: constraints === undefined ? null : parseNameConstraints(new Uint8Array(constraints.value)),
    names: { subject, names },
    selfIssued: issuer.equals(subject),
    issuerKeyId: readIssuerKeyId(extensions.get(AUTHORITY_KEY_IDENTIFIER)),
    hasUnknownCritical: [...extensions].some(([oid, { critical }]) => critical && !KNOWN.has(oid)),
  }
}

/** Null for the forms without a key id: they are valid, and nothing else here reads them. */
function readIssuerKeyId(extension: RawExtension | undefined): string | null {
  if (extension === undefined) return null
  try {
    return new x509.AuthorityKeyIdentifierExtension(extension.raw).keyId?.toLowerCase() ?? null
  } catch {
    return null
  }
}

function readConstraints(extension: RawExtension | undefined): CertificateFacts['basicConstraints'] {
  if (extension === undefined) return null
  const { ca, pathLength } = new x509.BasicConstraintsExtension(extension.raw)
  return { ca, pathLength }
}

function readKeyUsage(extension: RawExtension | undefined): CertificateFacts['keyUsage'] {
  if (extension === undefined) return null
  const bits: number = new x509.KeyUsagesExtension(extension.raw).usages
  const has = (flag: number): boolean => (bits & flag) !== 0
  return {
    critical: extension.critical,
    digitalSignature: has(x509.KeyUsageFlags.digitalSignature),
    keyCertSign: has(x509.KeyUsageFlags.keyCertSign),
    cRLSign: has(x509.KeyUsageFlags.cRLSign),
  }
}

function readExtendedKeyUsage(extension: RawExtension | undefined): CertificateFacts['extendedKeyUsage'] {
  if (extension === undefined) return null
  const { usages } = new x509.ExtendedKeyUsageExtension(extension.raw)
  return {
    serverAuth: usages.includes(x509.ExtendedKeyUsage.serverAuth),
    clientAuth: usages.includes(x509.ExtendedKeyUsage.clientAuth),
  }
}
