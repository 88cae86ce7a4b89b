// Checks the URL that a worker gives for itself. The actual protection is the pinned SPIFFE ID; this
// check keeps the probe away from addresses where no worker can be, and lets an operator restrict it
// further. Every connection checks the addresses of a name again (dispatch/worker-address.ts).
import { isIP } from 'node:net'
import { AppError } from '../../core/errors.ts'
import { isNeverAWorker } from '../../platform/address-rules.ts'
import type { HostRules } from '../../platform/host-rules.ts'

const SHAPE = /^https:\/\/(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?\/?$/

/**
 * The origin of a `worker_url`, e.g. `https://10.0.0.7:8443`.
 * @param allowed the operator's rule (CRANK_WORKER_HOSTS)
 * @throws {AppError} `request_invalid` with the reason. Refuses other schemes, userinfo, path, query, unusual notations of
 * addresses (`127.1`), link-local, multicast and unspecified addresses, and hosts outside the operator's list.
 */
export function parseWorkerUrl(text: string, allowed: Pick<HostRules, 'allows'>): string {
  if (!SHAPE.test(text)) throw refused('must be https://host:port, lower case, without user, path or query')
  const url = URL.parse(text)
  if (url === null) throw refused('is not a URL')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // `new URL` turns 127.1 and 0x7f000001 into 127.0.0.1: only the canonical notation is accepted.
  if (isIP(host) === 4 && !text.includes(host)) throw refused('must write an IPv4 address as four decimal numbers')
  if (isNeverAWorker(host)) throw refused('must not be a link-local, multicast or unspecified address')
  if (!allowed.allows(host)) throw refused('has a host that CRANK_WORKER_HOSTS does not allow')
  return url.origin
}

function refused(why: string): AppError {
  return new AppError('request_invalid', `worker_url ${why}`)
}
