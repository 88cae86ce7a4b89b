// Makes the credentials of a process from one response of a Workload API: checked as files are, all parts together or none.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import {
  parseSpiffeId,
  parseTrustDomain,
  trustDomainOf,
  type SpiffeId,
  type TrustDomain,
} from '../../core/spiffe-id.ts'
import { readAll } from '../svid/der.ts'
import { createRevocations } from '../svid/revocations.ts'
import { checkAnchor, type TrustBundles } from '../svid/trust-bundle.ts'
import { fitTogether, type Credentials } from '../tls/credential-set.ts'
import { chooseSvid, type SvidChoice } from './svid-choice.ts'
import type { SvidMessage, X509Response } from './x509-response.ts'

/** The identity is valid, but not one that this process may have: no later response will change that. */
export class WrongIdentityError extends Error {
  override readonly name = 'WrongIdentityError'
}

type SnapshotOptions = {
  /** What messages call the Workload API. */
  readonly where: string
  readonly choice: SvidChoice
  /** The trust domain that the SVID must have; undefined: any. */
  readonly trustDomain: TrustDomain | undefined
  readonly nowMs: number
}

/** `faults`: what was left out, each a sentence. */
type Snapshot = { readonly credentials: Credentials; readonly faults: readonly string[] }

/**
 * A bundle of another trust domain that cannot be used is left out, so that nobody of that domain is trusted; it must not keep
 * our own SVID from being renewed.
 * @throws {Error} naming what is wrong with the response; then nothing of it may be used
 * @throws {WrongIdentityError} when the SVID is of another trust domain
 */
export function toSnapshot(response: X509Response, options: SnapshotOptions): Snapshot {
  const { where, choice, nowMs } = options
  checkComplete(response, where)
  const message = inWords(where, () => chooseSvid(response.svids, choice))
  const claimed = inWords(`${where}: spiffe_id ${JSON.stringify(message.spiffeId)}`, () =>
    parseSpiffeId(message.spiffeId),
  )
  const trustDomain = checkTrustDomain(claimed, options)
  const certFile = `${where}: the SVID ${claimed}`
  const [leaf, ...intermediates] = inWords(certFile, () => parseDer(message.svid))
  if (leaf === undefined) throw new Error(`${certFile}: contains no certificate`)
  const own = inWords(`${where}: the bundle of ${trustDomain}`, () => parseAnchors(message.bundle))
  const federated = parseFederated(response.federatedBundles, trustDomain, where)
  const key = parseKey(message.key, certFile)
  const parts = {
    leaf,
    intermediates,
    key,
    keyPem: String(key.export({ format: 'pem', type: 'pkcs8' })),
    bundles: new Map([[trustDomain, own], ...federated.bundles]),
    revocations: inWords(where, () => createRevocations(response.crls)),
  }
  const names = { certFile, keyFile: `${where}: the key of ${claimed}`, bundlePath: 'its bundle', trustDomain }
  const credentials = fitTogether(parts, names, nowMs)
  if (credentials.spiffeId !== claimed) {
    throw new Error(`${where}: the certificate of ${claimed} is for ${credentials.spiffeId}`)
  }
  return { credentials, faults: federated.faults }
}

/** Section 4.5: a response without a mandatory field is discarded as a whole. */
function checkComplete({ svids }: X509Response, where: string): void {
  if (svids.length === 0) throw new Error(`${where}: the response has no SVID; register an entry for this workload`)
  for (const [index, svid] of svids.entries()) {
    const missing = MANDATORY.find(({ field }) => svid[field].length === 0)
    if (missing === undefined) continue
    throw new Error(`${where}: SVID ${index + 1} of the response has no ${missing.name}; the response is discarded`)
  }
}

const MANDATORY = [
  { field: 'spiffeId', name: 'spiffe_id' },
  { field: 'svid', name: 'x509_svid' },
  { field: 'key', name: 'x509_svid_key' },
  { field: 'bundle', name: 'bundle' },
] as const satisfies readonly { field: keyof SvidMessage; name: string }[]

function checkTrustDomain(claimed: SpiffeId, { where, trustDomain }: SnapshotOptions): TrustDomain {
  const own = trustDomainOf(claimed)
  if (trustDomain === undefined || own === trustDomain) return own
  throw new WrongIdentityError(
    `${where}: the SVID is ${claimed}, but the trust domain is ${trustDomain}; set CRANK_TRUST_DOMAIN=${own}, or CRANK_SVID to another SVID`,
  )
}

type Federated = { readonly bundles: TrustBundles; readonly faults: readonly string[] }

function parseFederated(given: ReadonlyMap<string, Buffer>, own: TrustDomain, where: string): Federated {
  const bundles = new Map<TrustDomain, readonly X509Certificate[]>()
  const faults: string[] = []
  for (const [key, der] of given) {
    try {
      const trustDomain = parseKeyOfBundle(key)
      // Ours came with the SVID.
      if (trustDomain === own) throw new Error('is our own trust domain')
      bundles.set(trustDomain, parseAnchors(der))
    } catch (cause: unknown) {
      const fault = cause instanceof Error ? cause.message : 'malformed'
      faults.push(`${where}: the federated bundle ${JSON.stringify(key)} is not used: ${fault}`)
    }
  }
  return { bundles, faults }
}

const SCHEME = 'spiffe://'

/** The specification keys bundles by the SPIFFE ID of the trust domain; some servers send its name. */
function parseKeyOfBundle(key: string): TrustDomain {
  return parseTrustDomain(key.startsWith(SCHEME) ? key.slice(SCHEME.length) : key)
}

function parseAnchors(der: Buffer): X509Certificate[] {
  const anchors = parseDer(der)
  if (anchors.length === 0) throw new Error('contains no certificate')
  anchors.forEach((anchor, index) => checkAnchor(anchor, `certificate ${index + 1}`))
  return anchors
}

/** Certificates one after the other. */
function parseDer(der: Buffer): X509Certificate[] {
  try {
    return readAll(der).map((value) => new X509Certificate(value.der))
  } catch (cause: unknown) {
    throw new Error('is not a sequence of certificates in DER', { cause })
  }
}

function parseKey(der: Buffer, certFile: string): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch (cause: unknown) {
    throw new Error(`${certFile}: its key is not an unencrypted PKCS #8 key in DER`, { cause })
  }
}

function inWords<T>(where: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause: unknown) {
    const fault = cause instanceof Error ? cause.message : 'malformed'
    throw new Error(`${where}: ${fault}`, { cause })
  }
}
