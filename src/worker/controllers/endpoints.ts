// The controllers of a mesh as this process knows them, and the order in which a request asks them.
import { untilAborted } from '../../platform/within.ts'
import type { Endpoint } from './endpoint.ts'
import { createSite, type Site, type SiteDeps } from './site.ts'

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

export function createEndpoints({ urls, ...deps }: SiteDeps & { readonly urls: readonly string[] }): Endpoints {
  const sites = urls.map((url) => createSite(url, deps))
  let turn = Math.floor(deps.random() * 2 ** 16)
  const all = (): Endpoint[] => sites.flatMap(({ endpoints }) => endpoints())

  return {
    async inOrder(preference, signal) {
      // Names are resolved beside the requests: only those wait that know no address yet.
      const wait = all().length === 0 ? () => true : (site: Site) => site.isNew()
      const resolved = sites.filter(({ isStale }) => isStale()).map((site) => ({ site, done: site.resolve() }))
      await settled(
        resolved.filter(({ site }) => wait(site)).map(({ done }) => done),
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
      await settled(
        sites.map((site) => site.resolve()),
        signal,
      )
      return all()
    },
    nameless: () =>
      sites.flatMap(({ url, error }) => {
        const why = error()
        return why === undefined ? [] : [{ url, error: why }]
      }),
    renew() {
      for (const endpoint of all()) endpoint.renew()
    },
    async close() {
      await Promise.all(sites.map((site) => site.close()))
    },
  }
}

async function settled(work: readonly Promise<void>[], signal: AbortSignal | undefined): Promise<void> {
  if (work.length === 0) return
  const all = Promise.all(work)
  await (signal === undefined ? all : untilAborted(all, signal))
}

function rankOf({ health, controller }: Endpoint, { first, last }: Preference): number {
  const isFirst = controller.name === first
  if (!health.isGood()) return 4
  if (last?.has(controller.name) === true) return isFirst ? 2 : 3
  return isFirst ? 0 : 1
}
