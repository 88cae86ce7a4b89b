// The controllers of a mesh as this process knows them: one for each URL, or for each address behind its name; and the order
// in which a request asks them.
import { isIP } from 'node:net'
import type { buildConnector } from 'undici'
import type { Addresses, HostLookup } from '../../platform/host-lookup.ts'
import { untilAborted } from '../../platform/within.ts'
import { ConnectError } from '../../platform/tls/connect-failure.ts'
import { Endpoint, type EndpointDeps } from './endpoint.ts'

/** Names of controllers. `first`: this one before the others. `last`: these after all that answer. */
export type Preference = { readonly first?: string | undefined; readonly last?: ReadonlySet<string> | undefined }

export type Endpoints = {
  /**
   * All controllers, best first: the good ones with the fewest requests in flight, in turn where these are equal; then those
   * that are avoided. Looks at those whose pause is over.
   */
  readonly inOrder: (preference: Preference, signal: AbortSignal | undefined) => Promise<readonly Endpoint[]>
  /** Resolves the names again, for a request that has asked all in vain. */
  readonly resolvedAgain: (signal: AbortSignal | undefined) => Promise<readonly Endpoint[]>
  /** The URLs whose names have no address, and why. */
  readonly nameless: () => readonly { readonly url: string; readonly error: Error }[]
  /** The certificate has changed: later requests get new connections. */
  readonly renew: () => void
  readonly close: () => Promise<void>
}

type EndpointsDeps = Omit<EndpointDeps, 'name' | 'url' | 'connect'> & {
  readonly urls: readonly string[]
  readonly lookup: HostLookup
  /** `addresses`: connect to these, not to what the name resolves to. */
  readonly connectorTo: (addresses: Addresses | undefined) => buildConnector.connector
}

/** The endpoints of one URL, by address. A name that cannot be resolved any more keeps its last addresses. */
type Site = {
  readonly url: string
  readonly host: string
  readonly isName: boolean
  readonly endpoints: Map<string, Endpoint>
  resolving: Promise<void> | undefined
  resolvedMs: number
  error: Error | undefined
}

/** The time for which the lookup itself remembers an answer. */
const RESOLVE_AFTER_MS = 5000
const LOOKUP_MS = 2000

export function createEndpoints(deps: EndpointsDeps): Endpoints {
  const { urls, lookup, connectorTo, monotonic, random } = deps
  const sites = urls.map(newSite)
  const retiring = new Set<Endpoint>()
  let turn = Math.floor(random() * 2 ** 16)

  function newSite(url: string): Site {
    const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
    const isName = isIP(host) === 0
    const fixed = isName
      ? []
      : [[host, new Endpoint({ ...deps, name: url, url, connect: connectorTo(undefined) })] as const]
    return {
      url,
      host,
      isName,
      endpoints: new Map(fixed),
      resolving: undefined,
      resolvedMs: -Infinity,
      error: undefined,
    }
  }

  async function resolve(site: Site): Promise<void> {
    try {
      const found = await lookup(site.host, site.url, AbortSignal.timeout(LOOKUP_MS))
      update(site, found)
      site.error = undefined
    } catch (cause: unknown) {
      site.error = new ConnectError('dns', (cause as Error).message, { cause })
    }
    site.resolvedMs = monotonic()
  }

  function update(site: Site, found: Addresses): void {
    for (const one of found) {
      if (site.endpoints.has(one.address)) continue
      const name = `${site.url} (${one.address})`
      site.endpoints.set(one.address, new Endpoint({ ...deps, name, url: site.url, connect: connectorTo([one]) }))
    }
    const current = new Set(found.map(({ address }) => address))
    for (const [address, endpoint] of site.endpoints) {
      if (current.has(address)) continue
      site.endpoints.delete(address)
      retiring.add(endpoint)
      void endpoint.retire().finally(() => retiring.delete(endpoint))
    }
  }

  async function refresh(
    isDue: (site: Site) => boolean,
    mustWait: (site: Site) => boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    const named = sites.filter(({ isName }) => isName)
    for (const site of named.filter(isDue)) site.resolving ??= resolve(site).finally(() => (site.resolving = undefined))
    const awaited = named.filter(mustWait).flatMap(({ resolving }) => resolving ?? [])
    if (awaited.length === 0) return
    const all = Promise.all(awaited)
    await (signal === undefined ? all : untilAborted(all, signal))
  }

  const all = (): Endpoint[] => sites.flatMap(({ endpoints }) => [...endpoints.values()])

  return {
    async inOrder(preference, signal) {
      // Names are resolved beside the requests: only those wait that know no address yet.
      await refresh(
        ({ resolvedMs }) => monotonic() - resolvedMs > RESOLVE_AFTER_MS,
        ({ resolvedMs }) => resolvedMs === -Infinity || all().length === 0,
        signal,
      )
      const known = all()
      for (const endpoint of known) if (endpoint.health.isDue()) void endpoint.look()
      turn += 1
      const start = known.length === 0 ? 0 : turn % known.length
      const inTurn = [...known.slice(start), ...known.slice(0, start)]
      // Stable: among equals, the turn decides.
      return inTurn.sort(
        (one, other) => rankOf(one, preference) - rankOf(other, preference) || one.inFlight - other.inFlight,
      )
    },
    async resolvedAgain(signal) {
      const every = (): boolean => true
      await refresh(every, every, signal)
      return all()
    },
    nameless: () =>
      sites.flatMap(({ url, error, endpoints }) => (error === undefined || endpoints.size > 0 ? [] : [{ url, error }])),
    renew() {
      for (const endpoint of all()) endpoint.renew()
    },
    async close() {
      await Promise.all([...all(), ...retiring].map((endpoint) => endpoint.close()))
    },
  }
}

function rankOf({ health, controller }: Endpoint, { first, last }: Preference): number {
  if (!health.isGood()) return 3
  if (last?.has(controller.name) === true) return controller.name === first ? 2 : 2.5
  return controller.name === first ? 0 : 1
}
