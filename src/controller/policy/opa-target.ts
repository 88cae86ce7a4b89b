// Where a sidecar listens, how connections to it are made, and the one member of its answers that is not the policy's:
// which bundles it has.
import type { Pool } from 'undici'
import { isRecord } from './json-object.ts'

export type OpaTarget =
  { readonly kind: 'tcp'; readonly origin: string } | { readonly kind: 'unix'; readonly path: string }

const KEEP_ALIVE_MS = 60_000
const MAX_REVISION = 256

/** What undici needs for connections to `target`. Deadlines are the caller's own. */
export function poolOptions(target: OpaTarget): { readonly origin: string; readonly options: Pool.Options } {
  return {
    origin: target.kind === 'tcp' ? target.origin : 'http://localhost',
    options: {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 1000,
      ...(target.kind === 'unix' ? { socketPath: target.path } : {}),
    },
  }
}

/**
 * `provenance.bundles` of an answer as one revision: that of the bundle, of several `name=revision` in the order of their
 * names. Undefined without bundles, or when none has a revision.
 */
export function bundleRevision(answer: object): string | undefined {
  const provenance = 'provenance' in answer ? answer.provenance : undefined
  const bundles = isRecord(provenance) ? provenance['bundles'] : undefined
  if (!isRecord(bundles)) return undefined
  const named = Object.entries(bundles).flatMap(([name, bundle]) => {
    const revision = isRecord(bundle) ? bundle['revision'] : undefined
    return typeof revision === 'string' && revision !== '' ? [{ name, revision }] : []
  })
  const [only, ...others] = named
  if (only === undefined) return undefined
  const text =
    others.length === 0
      ? only.revision
      : named
          .map(({ name, revision }) => `${name}=${revision}`)
          .sort()
          .join(',')
  return text.slice(0, MAX_REVISION)
}
