// Where a sidecar listens, how connections to it are made, and the one member of its answers that is not the policy's:
// which bundles it has.
import type { Pool } from 'undici'
import { doubledKey } from './doubled-key.ts'
import { isRecord } from '../data/json-object.ts'

/** `origin`: `http://host:port` without a slash at the end. `path`: absolute path of the socket. */
export type OpaTarget =
  { readonly kind: 'tcp'; readonly origin: string } | { readonly kind: 'unix'; readonly path: string }

const KEEP_ALIVE_MS = 60_000
const MAX_REVISION = 256
const MAX_NAME = 64
const SENTENCE = 'must be http://host:port or unix:///absolute/path'
const DEAD = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** OPA_URL as a target. @throws {Error} with a sentence that says what is allowed. */
export function parseOpaUrl(text: string): OpaTarget {
  if (text.startsWith('unix:')) return parseSocket(text)
  const url = URL.parse(text)
  if (url?.protocol !== 'http:') throw new Error(SENTENCE)
  if (url.username !== '' || url.password !== '') throw new Error(`${SENTENCE}, without a user name`)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`${SENTENCE}, without a path: the controller adds the document's own`)
  }
  return { kind: 'tcp', origin: url.origin }
}

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

/** What OPA said, as a JSON object without duplicate names. @throws {Error} when it is another thing */
export function answerBody(text: string): Readonly<Record<string, unknown>> {
  const body: unknown = JSON.parse(text)
  if (!isRecord(body)) throw new Error('not a JSON object')
  const doubled = doubledKey(text)
  if (doubled !== undefined) throw new Error(`duplicate name ${JSON.stringify(doubled.slice(0, MAX_NAME))}`)
  return body
}

/** The other side closed or reset a connection that had been open: a restart leaves such ones in the pool. */
export function isDeadConnection(error: unknown): boolean {
  return error instanceof Error && 'code' in error && DEAD.has(String(error.code))
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

function parseSocket(text: string): OpaTarget {
  const path = text.slice('unix://'.length)
  if (!text.startsWith('unix:///') || path.length < 2) throw new Error(SENTENCE)
  return { kind: 'unix', path }
}
