// Which names the admin listener answers to. A web page may have its own name point to 127.0.0.1 (DNS rebinding) and read
// this listener through the browser of whoever visits it; the Host header still has the page's name.
import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../core/errors.ts'
import type { HostRules } from '../../platform/host-rules.ts'

/** Whether a Host header is an address, `localhost` or one of `allowed`; none at all (HTTP/1.0) is no browser's. */
function isOwnHost(header: string | undefined, allowed: HostRules): boolean {
  if (header === undefined) return true
  const host = header.toLowerCase().replace(/:\d*$/, '')
  const bare = /^\[(.+)\]$/.exec(host)?.[1]
  if (bare !== undefined) return isIP(bare) === 6
  if (isIP(host) === 4 || host.replace(/\.$/, '') === 'localhost') return true
  return !allowed.any && allowed.allows(host)
}

/** Refuses requests for any other host, before anything else looks at them. */
export function refuseOtherHosts(app: FastifyInstance, allowed: HostRules): void {
  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that a throw becomes a rejection
  app.addHook('onRequest', async (request) => {
    if (isOwnHost(request.headers.host, allowed)) return
    throw new AppError(
      'host_not_allowed',
      'the Host header names none of this listener: use an IP address or localhost, or add the name to CRANK_ADMIN_ALLOWED_HOSTS',
    )
  })
}
