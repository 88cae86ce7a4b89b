// Spans of the routes that do not create their own (ADR 0036). Loaded only while spans are exported.
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import type { Tracing } from '../../platform/tracing/tracing-port.ts'

const MAX_PATH_CHARS = 128

/** The instrumentation for both listeners; undefined while no spans are exported. */
export async function createFastifyOtel({
  provider,
}: Pick<Tracing, 'provider'>): Promise<FastifyOtelInstrumentation | undefined> {
  if (provider === undefined) return undefined
  const { FastifyOtelInstrumentation } = await import('@fastify/otel')
  const fastifyOtel = new FastifyOtelInstrumentation({
    instrumentHooks: false,
    instrumentHandler: false,
    // A refusal is an answer, and for a real fault the log has the stack.
    recordExceptions: false,
    requestHook: (span, { method, url, routeOptions }) => {
      span.updateName(`${method} ${routeOptions.url ?? 'unknown'}`)
      // By default the attribute includes the query, which may contain anything.
      span.setAttribute('url.path', url.split('?', 1).join().slice(0, MAX_PATH_CHARS))
    },
  })
  fastifyOtel.setTracerProvider(provider)
  return fastifyOtel
}
