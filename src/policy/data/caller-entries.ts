// On the path of every call. Entries of the policy data by caller: by SPIFFE ID, or by a prefix of whole path segments that ends
// in a slash.
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../core/spiffe-id.ts'

const SCHEME = 'spiffe://'

/**
 * The most specific entry for a caller. A SPIFFE ID has no trailing slash, so an exact entry never equals a prefix, and the
 * exact one is the longest.
 */
export function entryOfCaller<T>(entries: ReadonlyMap<string, T>, caller: SpiffeId): T | undefined {
  if (entries.size === 0) return undefined
  let entry = entries.get(caller)
  for (let slash = caller.lastIndexOf('/'); entry === undefined && slash >= SCHEME.length;) {
    entry = entries.get(caller.slice(0, slash + 1))
    slash = caller.lastIndexOf('/', slash - 1)
  }
  return entry
}

/** Checks a SPIFFE ID, or a trust domain or path with a trailing slash. @throws {Error} when it is neither */
export function parseCaller(text: string): string {
  if (!text.endsWith('/')) return parseSpiffeId(text)
  const whole = text.slice(0, -1)
  if (whole.startsWith(SCHEME) && !whole.includes('/', SCHEME.length)) parseTrustDomain(whole.slice(SCHEME.length))
  else parseSpiffeId(whole)
  return text
}
