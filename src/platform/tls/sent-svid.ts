// The identity of a process on its way to one of its threads: plain values, since certificates cannot be sent everywhere.
import { X509Certificate } from 'node:crypto'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import { createRevocations } from '../svid/revocations.ts'
import type { Credentials } from './credentials.ts'

/** `anchors`: PEM, by trust domain. */
export type SentSvid = {
  readonly certPem: string
  readonly keyPem: string
  readonly anchors: readonly (readonly [TrustDomain, readonly string[]])[]
  /** Revocation lists in DER. */
  readonly crls: readonly Uint8Array[]
}

export type ReceivedSvid = Pick<Credentials, 'certPem' | 'keyPem' | 'bundles' | 'revocations'>

export function sentSvid({ certPem, keyPem, bundles, revocations }: ReceivedSvid): SentSvid {
  const anchors = [...bundles].map(([domain, each]) => [domain, each.map(String)] as const)
  return { certPem, keyPem, anchors, crls: revocations.lists }
}

export function receivedSvid({ certPem, keyPem, anchors, crls }: SentSvid): ReceivedSvid {
  const bundles = anchors.map(([domain, pems]) => [domain, pems.map((pem) => new X509Certificate(pem))] as const)
  const revocations = createRevocations(crls.map((der) => Buffer.from(der)))
  return { certPem, keyPem, bundles: new Map(bundles), revocations }
}
