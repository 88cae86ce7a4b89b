// Trust bundles on disk: the CAs of each trust domain. Never merged: a CA of one domain has no authority over another.
import type { X509Certificate } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { parseTrustDomain, type TrustDomain } from '../../core/spiffe-id.ts'
import { readCertificate } from './certificate-facts.ts'
import { subjectOf, times } from './chain-words.ts'
import { isSelfSigned } from './chain.ts'
import { certificateBlocks, parseCertificates } from './pem.ts'
import { mayIssue } from './x509-svid.ts'

/** The anchors of each trusted domain. */
export type TrustBundles = ReadonlyMap<TrustDomain, readonly X509Certificate[]>

const ENDING = '.pem'

/** The bundle files under `bundlePath`: itself, or the `<trust-domain>.pem` in it. @throws {Error} naming the path */
export async function bundleFiles(bundlePath: string, trustDomain: TrustDomain): Promise<Map<TrustDomain, string>> {
  if (!(await isFolder(bundlePath))) return new Map([[trustDomain, bundlePath]])
  const files = new Map<TrustDomain, string>()
  for (const name of (await readdir(bundlePath)).sort()) {
    // Hidden entries belong to Kubernetes and to editors.
    if (!name.endsWith(ENDING) || name.startsWith('.')) continue
    files.set(trustDomainOfFile(bundlePath, name), path.join(bundlePath, name))
  }
  if (!files.has(trustDomain)) {
    const missing = path.join(bundlePath, `${trustDomain}${ENDING}`)
    throw new Error(
      `${missing}: missing; put the CAs of your own trust domain there, or point to the bundle file itself`,
    )
  }
  return files
}

/** Reads and checks the bundles. @throws {Error} naming the file, what is wrong with it and what to do */
export async function loadTrustBundles(files: ReadonlyMap<TrustDomain, string>): Promise<TrustBundles> {
  const bundles = new Map<TrustDomain, readonly X509Certificate[]>()
  for (const [trustDomain, file] of files) bundles.set(trustDomain, parseBundle(await readFile(file, 'utf8'), file))
  return bundles
}

function parseBundle(text: string, file: string): X509Certificate[] {
  const anchors = parseCertificates(certificateBlocks(text), file)
  // SPIFFE Trust Domain and Bundle, 4.1.3: an empty bundle trusts nothing. That is always a mistake, so it is an error.
  if (anchors.length === 0)
    throw new Error(`${file}: contains no certificate, so no peer is trusted; write the CAs into it`)
  anchors.forEach((anchor, index) => checkAnchor(anchor, `${file}: certificate ${index + 1}`))
  return anchors
}

/** @throws {Error} beginning with `where`, when the certificate may not issue others */
export function checkAnchor(anchor: X509Certificate, where: string): void {
  if (mayIssue(readAnchor(anchor, where))) return
  throw new Error(`${where} is not a CA (cA and keyCertSign); a bundle contains the issuers, not the SVIDs`)
}

/**
 * OpenSSL takes the first anchor with the name of an issuer and never tries a second one. So roots come first, then the most
 * recently issued anchors, which have issued most leaves after a CA was renewed.
 */
export function inOrderForOpenssl(anchors: readonly X509Certificate[]): X509Certificate[] {
  const rank = (anchor: X509Certificate): number => (isSelfSigned(anchor) ? 0 : 1)
  const ranked = anchors.map((anchor) => ({ anchor, rank: rank(anchor), fromMs: times(anchor).notBeforeMs }))
  return ranked.sort((a, b) => a.rank - b.rank || b.fromMs - a.fromMs).map(({ anchor }) => anchor)
}

/** An anchor that has expired. `subject`: `root "CN=…"` or `intermediate "CN=…"`. */
type StaleAnchor = { readonly trustDomain: TrustDomain; readonly subject: string; readonly notAfterMs: number }

/** The anchors that have expired. Certificates below them are no longer trusted. */
export function expiredAnchors(bundles: TrustBundles, nowMs: number): StaleAnchor[] {
  return [...bundles].flatMap(([trustDomain, anchors]) =>
    anchors.flatMap((anchor) => {
      const { notAfterMs } = times(anchor)
      const kind = isSelfSigned(anchor) ? 'root' : 'intermediate'
      return nowMs < notAfterMs ? [] : [{ trustDomain, subject: `${kind} ${subjectOf(anchor)}`, notAfterMs }]
    }),
  )
}

function readAnchor(anchor: X509Certificate, where: string): ReturnType<typeof readCertificate> {
  try {
    return readCertificate(anchor.raw)
  } catch (cause: unknown) {
    throw new Error(`${where} cannot be parsed; write the file again`, { cause })
  }
}

function trustDomainOfFile(folder: string, name: string): TrustDomain {
  try {
    return parseTrustDomain(name.slice(0, -ENDING.length))
  } catch (cause: unknown) {
    throw new Error(`${path.join(folder, name)}: the file name is not a trust domain; name it <trust-domain>.pem`, {
      cause,
    })
  }
}

async function isFolder(bundlePath: string): Promise<boolean> {
  return (await stat(bundlePath)).isDirectory()
}
