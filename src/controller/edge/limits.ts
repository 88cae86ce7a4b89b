// On the path of every call. After the gate and before any route: refuses requests that are not plain HTTP/1.1, and new work
// during shutdown.
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../../core/errors.ts'
import { HEADERS } from '../../core/wire.ts'
import { isLingering } from '../../platform/tls/lingering-close.ts'

export type LimitsOptions = {
  /** From then on every answer closes its connection, so that the caller's next one reaches another controller. */
  readonly isLeaving: () => boolean
  readonly isDraining: () => boolean
}

const MAX_TARGET_CHARS = 2048
/** Longer than any verb or capability may be. */
const MAX_SEGMENT_CHARS = 100

/** Headers that must not occur more than once: duplicates are a fault of the caller or an attack (request smuggling). */
const SINGLE = new Set([
  'host',
  'content-type',
  HEADERS.idempotencyKey,
  HEADERS.priority,
  HEADERS.timeoutMs,
  HEADERS.version,
  HEADERS.prefer,
  HEADERS.require,
])

/** Fastify plugin: an onRequest hook that throws `request_invalid` or `shutting_down`. */
export const limits = fp<LimitsOptions>(
  (app, { isLeaving, isDraining }, done) => {
    app.addHook('onRequest', (request, reply, next) => {
      if (isLeaving()) reply.raw.shouldKeepAlive = false
      next(faultOf(request) ?? (isDraining() ? new AppError('shutting_down') : undefined))
    })
    done()
  },
  { name: 'limits', dependencies: ['arrival', 'identity-gate'] },
)

/** True when the router can decode the path: a stray `%` would end the request before the gate. */
export function isReadablePath(path: string): boolean {
  if (!path.startsWith('/')) return false
  if (!path.includes('%')) return true
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

function isTooLong(target: string): boolean {
  if (target.length <= MAX_SEGMENT_CHARS) return false
  const [path = ''] = target.split('?', 1)
  return target.length > MAX_TARGET_CHARS || path.split('/').some(({ length }) => length > MAX_SEGMENT_CHARS)
}

function faultOf(request: FastifyRequest): AppError | undefined {
  const { raw } = request
  if (isLingering(raw.socket)) return new AppError('request_invalid', 'the connection is closing: open another one')
  if (raw.method === 'CONNECT') return new AppError('method_not_allowed', 'CONNECT is not supported')
  if (raw.headers.host === undefined) return new AppError('request_invalid', 'the header host is missing')
  if (raw.headers.expect !== undefined && raw.headers.expect.toLowerCase() !== '100-continue') {
    return new AppError('request_invalid', 'the header expect supports only 100-continue')
  }
  if (raw.httpVersion !== '1.1') return new AppError('request_invalid', 'only HTTP/1.1 is supported')
  if (!isReadablePath(request.originalUrl)) return new AppError('request_invalid', 'the target must be a readable path')
  if (isTooLong(request.originalUrl)) {
    const limits = `${MAX_TARGET_CHARS} characters, each part of its path at most ${MAX_SEGMENT_CHARS}`
    return new AppError('uri_too_long', `the request target must be at most ${limits}`)
  }
  const seen = new Set<string>()
  for (let at = 0; at < raw.rawHeaders.length; at += 2) {
    const name = raw.rawHeaders[at]?.toLowerCase() ?? ''
    if (!SINGLE.has(name)) continue
    if (seen.has(name)) return new AppError('request_invalid', `duplicate header ${name}`)
    seen.add(name)
  }
  return undefined
}
