// On the path of every call. Refuses requests without a route before their body is read: 405 if the path has other methods,
// else 404.
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../../core/errors.ts'

/** `hint` is appended to the sentence of a 404. */
type UnroutedOptions = { readonly hint?: string }

const SHOWN_PATH_CHARS = 128

/** Fastify plugin: an onRequest hook after the gate and the limits. Register it before the routes, which it collects. */
export const unrouted = fp<UnroutedOptions>(
  (app, { hint = '' }, done) => {
    const methods = new Map<string, Set<string>>()
    app.addHook('onRoute', ({ url, method }) => {
      const known = methods.get(url) ?? new Set()
      for (const one of [method].flat()) known.add(one)
      methods.set(url, known)
    })
    app.addHook('onRequest', (request, reply, next) => {
      next(request.is404 ? refusalOf(request, reply, { methods, hint }) : undefined)
    })
    done()
  },
  { name: 'unrouted' },
)

function refusalOf(
  { method, url }: FastifyRequest,
  reply: FastifyReply,
  { methods, hint }: { methods: ReadonlyMap<string, ReadonlySet<string>>; hint: string },
): AppError {
  const path = url.split('?')[0] ?? ''
  const shown = path.slice(0, SHOWN_PATH_CHARS)
  const allowed = [...methods].filter(([pattern]) => fits(path, pattern)).flatMap(([, known]) => [...known])
  if (allowed.length === 0) return new AppError('not_found', `no route ${method} ${shown}${hint}`)
  const allow = [...new Set(allowed)].sort().join(', ')
  void reply.header('allow', allow)
  return new AppError('method_not_allowed', `${shown} does not support ${method}; use ${allow}`)
}

/** Patterns are simple: literal segments and whole `:parameters`. */
function fits(path: string, pattern: string): boolean {
  const asked = path.split('/')
  const served = pattern.split('/')
  return asked.length === served.length && served.every((part, at) => part.startsWith(':') || part === asked[at])
}
