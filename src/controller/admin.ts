// The second listener: health, metrics and the operator's view. Plain HTTP on loopback: default deny must not lock out
// scraping, and workers must not see metrics (design D10).
import Fastify, { type FastifyInstance } from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyOtelInstrumentation } from '@fastify/otel'
import Type from 'typebox'
import { WorkersReply } from '../core/wire.ts'
import type { Registry as MetricsRegistry } from '../platform/metrics.ts'
import type { Readiness } from './readiness.ts'

export type AdminOptions = {
  readonly readiness: () => Readiness
  readonly workers: () => WorkersReply
  readonly about: () => { readonly version: string; readonly engine: string; readonly policy_revision: string }
  /** The mTLS listener's routes as an OpenAPI 3.1 document. */
  readonly openapi: () => object
  readonly registry: MetricsRegistry
  readonly fastifyOtel: FastifyOtelInstrumentation | undefined
}

const CheckSchema = Type.Object(
  { name: Type.String(), ok: Type.Boolean(), reason: Type.Optional(Type.String()) },
  { additionalProperties: false },
)
const ReadinessSchema = Type.Object(
  { status: Type.String(), checks: Type.Array(CheckSchema) },
  { additionalProperties: false },
)
const HealthSchema = Type.Object(
  {
    status: Type.String(),
    version: Type.String(),
    engine: Type.String(),
    policy_revision: Type.String(),
    checks: Type.Array(CheckSchema),
  },
  { additionalProperties: false },
)
const Live = Type.Object({ status: Type.Literal('live') }, { additionalProperties: false })

/** Builds the admin server; the caller listens on it. */
export async function createAdmin(options: AdminOptions): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true, exposeHeadRoutes: false }).withTypeProvider<TypeBoxTypeProvider>()
  if (options.fastifyOtel !== undefined) await app.register(options.fastifyOtel.plugin())
  const quiet = { config: { otel: false } }
  app.get('/livez', { ...quiet, schema: { response: { 200: Live } } }, () => ({ status: 'live' as const }))
  app.get(
    '/readyz',
    { ...quiet, schema: { response: { 200: ReadinessSchema, 503: ReadinessSchema } } },
    async (_request, reply) => {
      const readiness = options.readiness()
      return reply.code(readiness.status === 'ready' ? 200 : 503).send({ ...readiness, checks: [...readiness.checks] })
    },
  )
  app.get('/health', { ...quiet, schema: { response: { 200: HealthSchema } } }, () => {
    const { status, checks } = options.readiness()
    return { status, ...options.about(), checks: [...checks] }
  })
  app.get('/metrics', quiet, async (_request, reply) =>
    reply.type(options.registry.contentType).send(await options.registry.metrics()),
  )
  app.get('/workers', { schema: { response: { 200: WorkersReply } } }, options.workers)
  app.get('/openapi.json', quiet, options.openapi)
  app.setNotFoundHandler({}, (request, reply) => {
    const reason = `no route ${request.method} here; there are /livez, /readyz, /health, /metrics, /workers and /openapi.json`
    void reply.code(404).send({ error: 'not_found', reason })
  })
  return app
}
