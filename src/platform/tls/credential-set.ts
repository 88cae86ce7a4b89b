// Our certificate, key and trust bundles, read from disk as one snapshot: it is used only if all parts fit together.
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isoTime } from '../../core/iso-time.ts'
import { trustDomainOf, type SpiffeId, type TrustDomain } from '../../core/spiffe-id.ts'
import { issuerOutOfTime } from '../svid/chain-words.ts'
import { createChainFinder } from '../svid/chain.ts'
import { certificateBlocks, parseCertificates } from '../svid/pem.ts'
import { NO_REVOCATIONS, type Revocations } from '../svid/revocations.ts'
import { bundleFiles, inOrderForOpenssl, loadTrustBundles, type TrustBundles } from '../svid/trust-bundle.ts'
import { parseSvid, type Svid } from '../svid/x509-svid.ts'

/**
 * One snapshot. `certPem`: leaf first, then its intermediates. `caPem`: the anchors of all bundles, in the order that OpenSSL
 * needs. `generation` counts the snapshots of a process, from 1. `notBeforeMs`, `notAfterMs`: of the leaf, Unix milliseconds.
 */
export type Credentials = {
  readonly generation: number
  readonly certPem: string
  readonly keyPem: string
  readonly caPem: readonly string[]
  readonly bundles: TrustBundles
  readonly revocations: Revocations
  readonly spiffeId: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** `bundlePath`: a PEM file for our own trust domain, or a folder of `<trust-domain>.pem`. */
export type CredentialFiles = {
  readonly certFile: string
  readonly keyFile: string
  readonly bundlePath: string
  readonly trustDomain: TrustDomain
}

/** The parts of a set, parsed. */
type CredentialParts = {
  readonly leaf: X509Certificate
  readonly intermediates: readonly X509Certificate[]
  readonly key: KeyObject
  readonly keyPem: string
  readonly bundles: TrustBundles
  readonly revocations: Revocations
}

/** What messages call the parts (for files their paths), and the trust domain that the certificate must have. */
type PartNames = CredentialFiles

/**
 * Reads and checks a set: the certificate is a valid X.509-SVID of our own trust domain, the key belongs to it, and it chains
 * to our own bundle. @throws {Error} whose message names the file, what is wrong with it and how to fix it
 */
export async function loadCredentials(files: CredentialFiles, now: () => number): Promise<Credentials> {
  const { certFile, keyFile, bundlePath, trustDomain } = files
  const [certText, keyPem, bundles] = await Promise.all([
    readText(certFile),
    readText(keyFile),
    loadBundles(bundlePath, trustDomain),
  ])
  const [leaf, ...intermediates] = parseCertificates(certificateBlocks(certText), certFile)
  if (leaf === undefined)
    throw new Error(`${certFile}: contains no certificate; write the X.509-SVID into it, followed by its intermediates`)
  const key = parseKey(keyPem, keyFile)
  return fitTogether({ leaf, intermediates, key, keyPem, bundles, revocations: NO_REVOCATIONS }, files, now())
}

/** Checks that the parts of a set fit together, as `loadCredentials` says. @throws {Error} naming the part at fault */
export function fitTogether(parts: CredentialParts, names: PartNames, nowMs: number): Credentials {
  const { leaf, intermediates, key, keyPem, bundles, revocations } = parts
  const { certFile, trustDomain } = names
  const svid = parseOwnSvid(leaf, certFile)
  checkKey(leaf, key, names)
  checkTrustDomain(svid.spiffeId, names)
  checkValidity(svid, nowMs, certFile)
  checkChain({ leaf, intermediates, anchors: bundles.get(trustDomain) ?? [], nowMs }, names)
  const certPem = [leaf, ...intermediates].map(String).join('')
  const caPem = inOrderForOpenssl([...bundles.values()].flat()).map(String)
  const { spiffeId, notBeforeMs, notAfterMs } = svid
  return { generation: 1, certPem, keyPem, caPem, bundles, revocations, spiffeId, notBeforeMs, notAfterMs }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause: unknown) {
    throw unreadable(file, cause)
  }
}

async function loadBundles(bundlePath: string, trustDomain: TrustDomain): Promise<TrustBundles> {
  try {
    return await loadTrustBundles(await bundleFiles(bundlePath, trustDomain))
  } catch (cause: unknown) {
    throw isSystemError(cause) ? unreadable(cause.path ?? bundlePath, cause) : cause
  }
}

function parseOwnSvid(leaf: X509Certificate, certFile: string): Svid {
  try {
    return parseSvid(leaf.raw)
  } catch (cause: unknown) {
    const fault = cause instanceof Error ? cause.message : 'malformed'
    throw new Error(`${certFile}: not an X.509-SVID: ${fault}; have it issued again`, { cause })
  }
}

function parseKey(keyPem: string, keyFile: string): KeyObject {
  try {
    return createPrivateKey(keyPem)
  } catch (cause: unknown) {
    throw new Error(`${keyFile}: contains no readable private key; it must be unencrypted PEM`, { cause })
  }
}

function checkKey(leaf: X509Certificate, key: KeyObject, { certFile, keyFile }: PartNames): void {
  if (leaf.checkPrivateKey(key)) return
  throw new Error(`${keyFile}: is not the key of ${certFile}; both must come from the same issuance`)
}

function checkTrustDomain(spiffeId: SpiffeId, { certFile, trustDomain }: PartNames): void {
  if (trustDomainOf(spiffeId) === trustDomain) return
  throw new Error(
    `${certFile}: is ${spiffeId}, but the trust domain is ${trustDomain}; change CRANK_TRUST_DOMAIN or the certificate`,
  )
}

function checkValidity({ notBeforeMs, notAfterMs }: Svid, nowMs: number, certFile: string): void {
  if (nowMs >= notAfterMs) {
    throw new Error(`${certFile}: expired at ${isoTime(notAfterMs)}; have it issued again`)
  }
  if (nowMs < notBeforeMs) {
    throw new Error(`${certFile}: is valid only from ${isoTime(notBeforeMs)}; check the clock`)
  }
}

type OwnChain = {
  readonly leaf: X509Certificate
  readonly intermediates: readonly X509Certificate[]
  readonly anchors: readonly X509Certificate[]
  readonly nowMs: number
}

function checkChain(chain: OwnChain, { certFile, bundlePath }: PartNames): void {
  const { leaf, intermediates: presented, anchors, nowMs } = chain
  const findChain = createChainFinder()
  if (findChain({ leaf, presented, anchors, nowMs }) !== undefined) return
  const path = findChain({ leaf, presented, anchors, nowMs: 'any' })
  const outOfTime = path && issuerOutOfTime(path, nowMs)
  if (outOfTime !== undefined) {
    throw new Error(`${certFile}: its issuer is not valid now: ${outOfTime.which}; have both issued again`)
  }
  throw new Error(`${certFile}: does not chain to ${bundlePath}; add its intermediates to it, or its CA to the bundle`)
}

function unreadable(file: string, cause: unknown): Error {
  const code = isSystemError(cause) ? (cause.code ?? 'unknown error') : 'unknown error'
  const fault = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
  return new Error(`${file}: ${fault}; check the path and its permissions`, { cause })
}

function isSystemError(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && 'syscall' in cause
}
