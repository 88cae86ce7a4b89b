// Where a sidecar listens, how to connect to it, and the part of
// its answers that does not come from the policy: its bundles.
import type { Pool } from 'undici'
import { doubledKey } from './doubled-key.ts'
import { isRecord } from '../data/json-object.ts'

/** `origin`: `http://host:port` without a trailing slash. `path`: absolute path of the socket. */
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
    throw new Error(`${SENTENCE}, without a path: the controller adds the path of the document`)
  }
  return { kind: 'tcp', origin: url.origin }
}

/** The undici options for connections to `target`. The caller sets its own deadlines. */
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

/** OPA's answer as a JSON object without duplicate names. @throws {Error} when it is anything else */
export function answerBody(text: string): Readonly<Record<string, unknown>> {
  const body: unknown = JSON.parse(text)
  if (!isRecord(body)) throw new Error('not a JSON object')
  const doubled = doubledKey(text)
  if (doubled !== undefined) throw new Error(`duplicate name ${JSON.stringify(doubled.slice(0, MAX_NAME))}`)
  return body
}

/** Whether the peer closed or reset an open connection: a restart of OPA leaves such connections in the pool. */
export function isDeadConnection(error: unknown): boolean {
  return error instanceof Error && 'code' in error && DEAD.has(String(error.code))
}

/**
 * `provenance.bundles` of an answer as one revision: that of the only bundle, or `name=revision` of each, sorted by name.
 * Undefined without bundles, or when none has a revision.
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
