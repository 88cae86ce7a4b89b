// SPIFFE ID: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md, section 2. Byte-exact: no URL parser (it
// would normalise `/a/../b`), no lower-casing (U+212A becomes `k`), equality is string equality.

declare const brand: unique symbol
/** A trust domain that the parser accepted, e.g. `crank.local`. */
export type TrustDomain = string & { readonly [brand]: 'TrustDomain' }
/** A workload's SPIFFE ID (non-root path) that the parser accepted, e.g. `spiffe://crank.local/worker/streaming`. */
export type SpiffeId = string & { readonly [brand]: 'SpiffeId' }

/** Why a text is not a SPIFFE ID; `message` names the rule and the section of the specification. */
export class SpiffeIdError extends Error {
  override readonly name = 'SpiffeIdError'
}

const SCHEME = 'spiffe://'
const MAX_ID_BYTES = 2048
const MAX_TRUST_DOMAIN_BYTES = 255
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const SEGMENT = /^[A-Za-z0-9._-]+$/

/**
 * Parses the SPIFFE ID of a workload, as found in the URI SAN of an X.509-SVID.
 * @throws {SpiffeIdError} naming the broken rule. An ID without a path is refused: X509-SVID section 3.1 requires one in a leaf.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (Buffer.byteLength(text, 'utf8') > MAX_ID_BYTES) throw new SpiffeIdError('longer than 2048 bytes (2.3)')
  if (!text.startsWith(SCHEME)) throw new SpiffeIdError('scheme is not "spiffe" in lower case (2)')
  const slash = text.indexOf('/', SCHEME.length)
  parseTrustDomain(text.slice(SCHEME.length, slash === -1 ? undefined : slash))
  if (slash === -1) throw new SpiffeIdError('path is missing: only a trust domain has none (X509-SVID 3.1)')
  for (const segment of text.slice(slash + 1).split('/')) checkSegment(segment)
  return text as SpiffeId
}

/** Parses a trust domain name. @throws {SpiffeIdError} naming the broken rule of section 2.1. */
export function parseTrustDomain(text: string): TrustDomain {
  if (text === '') throw new SpiffeIdError('trust domain is missing (2.1)')
  if (Buffer.byteLength(text, 'utf8') > MAX_TRUST_DOMAIN_BYTES) {
    throw new SpiffeIdError('trust domain is longer than 255 bytes (2.3)')
  }
  if (!TRUST_DOMAIN.test(text)) {
    throw new SpiffeIdError('trust domain may hold only a-z, 0-9, dot, dash and underscore (2.1)')
  }
  return text as TrustDomain
}

/** The trust domain of an ID: the part between `spiffe://` and the first slash. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  return id.slice(SCHEME.length, id.indexOf('/', SCHEME.length)) as TrustDomain
}

function checkSegment(segment: string): void {
  if (segment === '') throw new SpiffeIdError('path has an empty segment or ends in a slash (2.2)')
  if (segment === '.' || segment === '..') throw new SpiffeIdError('path has a dot segment (2.2)')
  if (!SEGMENT.test(segment))
    throw new SpiffeIdError('path may hold only letters, digits, dot, dash and underscore (2.2)')
}
