// The identity of a process on its way to one of its threads: plain values, since certificates cannot be sent everywhere.
import { X509Certificate } from 'node:crypto'
import type { TrustDomain } from '../../core/spiffe-id.ts'
import type { Credentials } from './credentials.ts'

/** `anchors`: PEM, by trust domain. */
export type SentSvid = {
  readonly certPem: string
  readonly keyPem: string
  readonly anchors: readonly (readonly [TrustDomain, readonly string[]])[]
}

export type ReceivedSvid = Pick<Credentials, 'certPem' | 'keyPem' | 'bundles'>

export function sentSvid({ certPem, keyPem, bundles }: ReceivedSvid): SentSvid {
  return { certPem, keyPem, anchors: [...bundles].map(([domain, anchors]) => [domain, anchors.map(String)]) }
}

export function receivedSvid({ certPem, keyPem, anchors }: SentSvid): ReceivedSvid {
  const bundles = anchors.map(([domain, pems]) => [domain, pems.map((pem) => new X509Certificate(pem))] as const)
  return { certPem, keyPem, bundles: new Map(bundles) }
}
