// Logs which certificates of the trust bundles have expired, once for each: from then on certificates below them are
// refused, and the refusals alone would not show an operator that the bundle is the cause.
import { isoTime } from '../../core/iso-time.ts'
import { times } from '../svid/chain-words.ts'
import type { EventLog } from '../logger.ts'
import { expiredAnchors, type TrustBundles } from '../svid/trust-bundle.ts'

type ExpiryReportOptions = { readonly now: () => number; readonly log: Pick<EventLog, 'warn'> }

/** Call it with the current bundles as often as you like: it checks them when they are new, and when the next anchor expires. */
export function createExpiryReport({ now, log }: ExpiryReportOptions): (bundles: TrustBundles) => void {
  let seen: TrustBundles | undefined
  let nextMs = -Infinity
  let told = new Set<string>()

  return (bundles) => {
    const nowMs = now()
    if (bundles === seen && nowMs < nextMs) return
    seen = bundles
    const ends = [...bundles.values()].flat().map((anchor) => times(anchor).notAfterMs)
    nextMs = Math.min(...ends.filter((endMs) => endMs > nowMs))
    const found = new Set<string>()
    for (const { trustDomain, subject, notAfterMs } of expiredAnchors(bundles, nowMs)) {
      const fields = { trust_domain: trustDomain, subject, not_after: isoTime(notAfterMs) }
      const key = JSON.stringify(fields)
      found.add(key)
      if (told.has(key)) continue
      log.warn(
        { event: 'bundle_certificate_expired', ...fields },
        'a certificate of a trust bundle has expired; replace it, or remove it from the bundle',
      )
    }
    told = found
  }
}
