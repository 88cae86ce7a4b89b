// One URL of the list: a controller, or a name that stands for a controller at each of its addresses.
import { isIP } from 'node:net'
import type { buildConnector } from 'undici'
import type { Addresses, HostLookup } from '../../platform/host-lookup.ts'
import { ConnectError } from '../../platform/tls/connect-failure.ts'
import { Endpoint, type EndpointDeps } from './endpoint.ts'

export type Site = {
  readonly url: string
  /** A name that cannot be resolved any more keeps its last addresses. */
  readonly endpoints: () => readonly Endpoint[]
  /** Not resolved yet. */
  readonly isNew: () => boolean
  /** Its addresses were resolved some time ago, or never. */
  readonly isStale: () => boolean
  /** Resolves the name, once for all that wait. Never rejects. */
  readonly resolve: () => Promise<void>
  /** Why the name has no address. */
  readonly error: () => Error | undefined
  readonly close: () => Promise<void>
}

export type SiteDeps = Omit<EndpointDeps, 'name' | 'url' | 'connect'> & {
  readonly lookup: HostLookup
  /** `addresses`: connect to these, not to what the name resolves to. */
  readonly connectorTo: (addresses: Addresses | undefined) => buildConnector.connector
}

/** The time for which the lookup itself remembers an answer. */
const RESOLVE_AFTER_MS = 5000
const LOOKUP_MS = 2000

export function createSite(url: string, deps: SiteDeps): Site {
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(host) === 0 ? createNamedSite(url, host, deps) : createFixedSite(url, deps)
}

function createFixedSite(url: string, deps: SiteDeps): Site {
  const endpoint = new Endpoint({ ...deps, name: url, url, connect: deps.connectorTo(undefined) })
  return {
    url,
    endpoints: () => [endpoint],
    isNew: () => false,
    isStale: () => false,
    resolve: () => Promise.resolve(),
    error: () => undefined,
    close: () => endpoint.close(),
  }
}

function createNamedSite(url: string, host: string, deps: SiteDeps): Site {
  const { lookup, connectorTo, monotonic } = deps
  const byAddress = new Map<string, Endpoint>()
  const retiring = new Set<Endpoint>()
  let resolving: Promise<void> | undefined
  let resolvedMs = -Infinity
  let error: Error | undefined

  async function resolve(): Promise<void> {
    try {
      update(await lookup(host, url, AbortSignal.timeout(LOOKUP_MS)))
      error = undefined
    } catch (cause: unknown) {
      error = new ConnectError('dns', (cause as Error).message, { cause })
    }
    resolvedMs = monotonic()
    resolving = undefined
  }

  function update(found: Addresses): void {
    for (const one of found) {
      if (byAddress.has(one.address)) continue
      const name = `${url} (${one.address})`
      byAddress.set(one.address, new Endpoint({ ...deps, name, url, connect: connectorTo([one]) }))
    }
    const current = new Set(found.map(({ address }) => address))
    for (const [address, endpoint] of byAddress) {
      if (current.has(address)) continue
      byAddress.delete(address)
      retiring.add(endpoint)
      void endpoint.retire().finally(() => retiring.delete(endpoint))
    }
  }

  return {
    url,
    endpoints: () => [...byAddress.values()],
    isNew: () => resolvedMs === -Infinity,
    isStale: () => monotonic() - resolvedMs > RESOLVE_AFTER_MS,
    resolve: () => (resolving ??= resolve()),
    error: () => (byAddress.size === 0 ? error : undefined),
    close: async () => {
      await Promise.all([...byAddress.values(), ...retiring].map((endpoint) => endpoint.close()))
    },
  }
}
