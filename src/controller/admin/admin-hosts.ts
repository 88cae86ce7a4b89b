// Which host names the admin listener answers to. A web page can make its own name resolve to 127.0.0.1 (DNS rebinding) and
// read this listener through a visitor's browser; the Host header still has the page's name.
import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../core/errors.ts'
import type { HostRules } from '../../platform/host-rules.ts'

/** Whether a Host header is an address, `localhost` or one of `allowed`. Without one (HTTP/1.0) it is not a browser. */
function isOwnHost(header: string | undefined, allowed: HostRules): boolean {
  if (header === undefined) return true
  const host = header.toLowerCase().replace(/:\d*$/, '')
  const bare = /^\[(.+)\]$/.exec(host)?.[1]
  if (bare !== undefined) return isIP(bare) === 6
  if (isIP(host) === 4 || host.replace(/\.$/, '') === 'localhost') return true
  return !allowed.any && allowed.allows(host)
}

/** Refuses requests for any other host before any other check. */
export function refuseOtherHosts(app: FastifyInstance, allowed: HostRules): void {
  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that a throw becomes a rejection
  app.addHook('onRequest', async (request) => {
    if (isOwnHost(request.headers.host, allowed)) return
    throw new AppError(
      'host_not_allowed',
      'this listener does not answer to the name in the Host header: use an IP address or localhost, or add the name to CRANK_ADMIN_ALLOWED_HOSTS',
    )
  })
}
