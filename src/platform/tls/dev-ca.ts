// Issues development certificates: a P-256 CA and X.509-SVIDs below it. For trying out Crank; use SPIRE in production.
import 'reflect-metadata' // @peculiar/x509 needs it to be there first
import { createPrivateKey, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { trustDomainOf, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'

/** A CA with its signing key. */
export type Ca = {
  readonly trustDomain: TrustDomain
  readonly certPem: string
  readonly keyPem: string
  readonly certificate: x509.X509Certificate
  readonly signingKey: webcrypto.CryptoKey
}

type IssuedSvid = { readonly certPem: string; readonly keyPem: string }

type IssueRequest = {
  readonly ca: Ca
  readonly spiffeId: SpiffeId
  /** DNS names and IP addresses beside the SPIFFE ID, for clients such as curl that check the host. */
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  readonly days: number
  readonly now: () => number
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
/** Clocks of containers and laptops differ a little. */
const BACKDATE_MS = 5 * 60_000

/** A new self-signed CA whose own SPIFFE ID is the trust domain (X509-SVID 3.2). */
export async function createCa(request: { trustDomain: TrustDomain; days: number; now: () => number }): Promise<Ca> {
  const { trustDomain } = request
  const keys = await createKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: caName(trustDomain),
    keys,
    ...validity(request),
    signingAlgorithm: ECDSA,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const keyPem = await toKeyPem(keys.privateKey)
  return { trustDomain, certPem: toCertPem(certificate), keyPem, certificate, signingKey: keys.privateKey }
}

/** The CA of a PEM pair that `createCa` made. @throws {Error} when either cannot be parsed */
export async function parseCa(pem: { trustDomain: TrustDomain; certPem: string; keyPem: string }): Promise<Ca> {
  const pkcs8 = createPrivateKey(pem.keyPem).export({ format: 'der', type: 'pkcs8' })
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ECDSA, true, ['sign'])
  return { ...pem, certificate: new x509.X509Certificate(pem.certPem), signingKey }
}

/** Whether a CA that was read from a file was created for the trust domain for which it is used. */
export function isOfTrustDomain({ trustDomain, certificate }: Ca): boolean {
  return certificate.subject === caName(trustDomain)
}

/**
 * Issues an X.509-SVID with a new key, valid for `days` but not longer than its CA.
 * @throws {Error} when the trust domain of the SPIFFE ID is not the CA's
 */
export async function issueSvid(request: IssueRequest): Promise<IssuedSvid> {
  const { ca, spiffeId, dns = [], ips = [] } = request
  if (trustDomainOf(spiffeId) !== ca.trustDomain) {
    throw new Error(`${spiffeId} is not in ${ca.trustDomain}, the trust domain of this CA`)
  }
  const keys = await createKeys()
  const { notBefore, notAfter } = validity(request)
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ O: ['Crank development'] }],
    issuer: ca.certificate.subject,
    notBefore,
    notAfter: new Date(Math.min(notAfter.getTime(), ca.certificate.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey: ca.signingKey,
    signingAlgorithm: ECDSA,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: spiffeId },
        ...dns.map((value) => ({ type: 'dns' as const, value })),
        ...ips.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certPem: toCertPem(certificate), keyPem: await toKeyPem(keys.privateKey) }
}

function caName(trustDomain: TrustDomain): string {
  return `CN=${trustDomain} development CA`
}

function validity({ days, now }: { days: number; now: () => number }): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now() - BACKDATE_MS), notAfter: new Date(now() + days * DAY_MS) }
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify'])
}

function toCertPem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}

async function toKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}
